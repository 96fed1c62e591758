"""OpenAI's chat completions, and the many servers that speak it: each of them is a profile of this dialect."""
