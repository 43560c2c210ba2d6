"""The errors that AMT raises beside ValueError, TypeError and OSError."""

import errno


class AmtError(Exception):
    """Anything that AMT refuses to do, with the remedy in its message."""


class MidiError(AmtError, ValueError):
    """Bytes that cannot be read as MIDI.

    Attributes:
        byte_offset: where in the input the reader stopped, or -1 if no byte is to blame.
        reason: what was wrong there.
    """

    def __init__(self, reason: str, byte_offset: int = -1):
        super().__init__(f"{reason} (at byte {byte_offset})" if byte_offset >= 0 else reason)
        self.reason = reason
        self.byte_offset = byte_offset

    def __reduce__(self) -> tuple[type["MidiError"], tuple[str, int]]:
        return type(self), (self.reason, self.byte_offset)


class DiskFullError(AmtError, OSError):
    """There is no room to write a file; its `errno` is ENOSPC."""

    def __init__(self, message: str):
        super().__init__(message)
        self.errno = errno.ENOSPC


class CheckpointError(AmtError, ValueError):
    """A model folder whose parts are missing, damaged, or do not belong together."""


class TextEncoderError(AmtError, RuntimeError):
    """The text encoder of a model is missing or is not the one that the model was trained with."""


class BackendUnavailableError(AmtError, RuntimeError):
    """A backend that was asked for by name cannot run here."""


class DeviceError(AmtError, ValueError):
    """A device that was asked for and cannot be used here."""


class DecodingError(AmtError, RuntimeError):
    """Decoding cannot go on: NaN logits, or no legal token."""
