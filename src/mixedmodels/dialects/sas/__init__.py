"""SAS's language: programs of DATA steps and of the procedures for mixed models, read and run."""

from .run import sas

__all__ = ["sas"]
