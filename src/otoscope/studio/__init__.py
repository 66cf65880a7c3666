"""The studio: a local page on which a model is looked at, listened to and edited; extra ``studio``.

A `Workspace` holds the model, its clips and a folder; views are registered as ``studio``, say which models they serve, and
appear by themselves. The server listens on this machine alone, and asks for a token with every request.
"""

from otoscope.studio.prototypes import prototypes_view  # isort: skip  # views are shown in this order
from otoscope.studio.atlas import atlas_view  # isort: skip
from otoscope.studio.server import create_app, serve
from otoscope.studio.views import View
from otoscope.studio.workspace import Workspace

__all__ = ["View", "Workspace", "atlas_view", "create_app", "prototypes_view", "serve"]
