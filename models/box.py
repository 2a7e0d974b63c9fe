"""The detector that comes with the program, and reading any detector's file.

Where it lies belongs here; what is in the file to `combined`, and which detector answers to the rooms above.
"""

from pathlib import Path

BOX = Path(__file__).with_name("box") / "detector.safetensors"
"""The file of the detector in the box; nothing is there in a program that was built without one."""
BOX_CLAIMS = BOX.with_name("claims.safetensors")
"""The file that holds what EXIF claims against pixels, for pictures that the detector in the box is asked of."""
