"""The batched engine: M members of one architecture trained as one tensor program."""

from soundfit.bank.bank import Bank
from soundfit.bank.loss import MixedCrossEntropy, ScaledSquaredError
from soundfit.bank.race import Race, Standing
from soundfit.bank.rows import BankData, MemberRows
from soundfit.bank.train import Outcome, train_members

__all__ = [
    "Bank",
    "BankData",
    "MemberRows",
    "MixedCrossEntropy",
    "Outcome",
    "Race",
    "ScaledSquaredError",
    "Standing",
    "train_members",
]
