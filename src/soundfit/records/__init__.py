"""Frozen records that the layers hand to each other. They know numpy and nothing else."""

from soundfit.records.config import Config
from soundfit.records.diagnosis import Diagnosis, Place, Prescription, Symptom
from soundfit.records.finding import Finding, Severity
from soundfit.records.member import Member, MemberResult
from soundfit.records.plan import Fold, Plan
from soundfit.records.said import Said, say
from soundfit.records.study import StudyResult
from soundfit.records.trace import Event, Trace
from soundfit.records.verdict import Verdict

__all__ = [
    "Config",
    "Diagnosis",
    "Event",
    "Finding",
    "Fold",
    "Member",
    "MemberResult",
    "Place",
    "Plan",
    "Prescription",
    "Said",
    "Severity",
    "StudyResult",
    "Symptom",
    "Trace",
    "Verdict",
    "say",
]
