"""Ranking loss, rollouts, advantages, PPO, rejection sampling, ghost attention."""
