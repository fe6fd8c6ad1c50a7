# %% [markdown]
# # 08 · Stacking: quantization × pruning × distillation
#
# After this lesson you can take a model apart into three factors of cost, shrink each of them with your own hands, and say beforehand how small the stack of all three will be.

# %%
# HOOK: filled last (size against quality of every stored rung)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - round weights to a few bits, in groups, and say where the cliff is;
# - train through a rounding that has no gradient;
# - remove heads so that a model really gets smaller, and tell zeros on paper from time on the clock;
# - predict the size of a stack from its parts, and pick what to shrink first by the bottleneck.
#
# **Before this:** [lesson 02](02_word_and_sequence.ipynb) (word-level distillation, which heals what is cut here).
#
# **Time:** 45 minutes to read and do. {{measured}}

# %%
import torch

from kd_lab.classroom import Question, claim, exercise, predict, quiz, setup

seed = setup("08", threads=1)

# %% [markdown]
# ## 1 · Three factors

# %%
# CALCULATOR (pruning half): live cost calculator, predict

# %% [markdown]
# ## 2 · Fewer bits
#
# QUANTIZATION half: rounding, exercise 08.1, C08a

# %%
# ROUNDING

# %% [markdown]
# ## 3 · One channel that spoils the scale
#
# QUANTIZATION half: C08b

# %%
# OUTLIERS

# %% [markdown]
# ## 4 · Training through the rounding
#
# QUANTIZATION half: exercise 08.2, C08c

# %%
# QAT

# %% [markdown]
# ## 5 · Fewer parameters
#
# PRUNING half: exercise 08.3, C08d, C08e

# %%
# ZEROS, HEADS

# %% [markdown]
# ## 6 · Healing
#
# PRUNING half: C08f

# %%
# RECOVERY

# %% [markdown]
# ## 7 · The stack
#
# PRUNING half: C08g, C08h

# %%
# STACK

# %% [markdown]
# ## Discuss
#
# *For two people, ten minutes.* …?

# %% [markdown] tags=["teacher"]
# **Expected answers.**

# %% [markdown]
# ## Recap
#
# 1. …
#
# ## Quiz

# %%
quiz()

# %% [markdown]
# ## Glossary
#
# ## Papers
#
# ## Next
