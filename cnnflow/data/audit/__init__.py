"""The audit of a folder of pictures: what is broken, doubled, misplaced or odd in it, before any training."""

from cnnflow.data.audit.findings import HARD, SOFT, Audit, Finding
from cnnflow.data.audit.run import audit

__all__ = ["HARD", "SOFT", "Audit", "Finding", "audit"]
