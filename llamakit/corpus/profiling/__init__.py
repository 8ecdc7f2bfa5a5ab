"""What a corpus holds is counted: languages, pronouns, identities, lengths, copies, sites."""
