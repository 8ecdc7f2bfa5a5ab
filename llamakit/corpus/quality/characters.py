"""What characters are, as tables that compiled code can look into."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

SPACE, LETTER, LOWER, BREAK, TERMINAL, BULLET, CLOSING, STRIPPED = (1 << bit for bit in range(8))
"""Bits of a character's class. STRIPPED: punctuation left out around a stop word. CLOSING: what may
stand between the end of a sentence and the space after it."""

KNOWN = 0x32400
"""Characters from here on have no class and fold to themselves: none is a space or letter."""

# The property Sentence_Terminal of Unicode.
TERMINALS = (
    "!.?։؝؞؟۔܀܁܂߹࠷࠹࠽࠾।॥၊။።፧፨᙮᜵᜶។៕៖៙៚᠃᠉᥄᥅᪨᪩᪪᪫᭚᭛᭞᭟᭽᭾᰻᰼᱾᱿‼‽⁇⁈⁉⸮⸼⹓⹔。꓿꘎꘏꛳꛷꡶꡷꣎꣏꤯꧈꧉꩝꩞꩟꫰꫱꯫﹒﹖﹗！．？｡𐩖𐩗𐽕𐽖𐽗𐽘𐽙𐾆𐾇𐾈𐾉𑁇𑁈𑂾𑂿𑃀𑃁𑅁𑅂𑅃𑇅𑇆𑇍𑇞𑇟𑈸𑈹𑈻𑈼"
    "𑊩𑑋𑑌𑗂𑗃𑗉𑗊𑗋𑗌𑗍𑗎𑗏𑗐𑗑𑗒𑗓𑗔𑗕𑗖𑗗𑙁𑙂𑜼𑜽𑜾𑥄𑥆𑩂𑩃𑪛𑪜𑱁𑱂𑻷𑻸𑽃𑽄𖩮𖩯𖫵𖬷𖬸𖭄𖺘𛲟𝪈"
)


@cache
def classes() -> NDArray[np.uint8]:
    """The class of every character below `KNOWN`."""
    characters = [chr(code) for code in range(KNOWN)]
    found = np.zeros(KNOWN, np.uint8)
    for bit, test in ((SPACE, str.isspace), (LETTER, str.isalpha), (LOWER, str.islower)):
        found |= np.fromiter(map(test, characters), np.uint8, KNOWN) * np.uint8(bit)
    for bit, members in (
        (BREAK, "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"),
        (TERMINAL, TERMINALS),
        (BULLET, "•‣●*-–"),
        (CLOSING, "\"'”’»)]」』"),
        (STRIPPED, '.,;:!?"()'),
    ):
        found[[ord(character) for character in members]] |= np.uint8(bit)
    return found


@cache
def folded() -> NDArray[np.int32]:
    """Every character below `KNOWN` without its case, where that is one character too."""
    table = np.arange(KNOWN, dtype=np.int32)
    for code in range(KNOWN):
        fold = chr(code).casefold()
        if len(fold) == 1:
            table[code] = ord(fold)
    return table
