"""The vendors as ``demo`` and the tests see them: strict ASGI apps over one deterministic, made-up audience.

``arithmetic`` and ``grid`` are the ground. ``world`` and ``sessions`` (SmartSight), ``audience``, ``viewing`` and
``viewers`` (IBM) say what happened when. ``smartsight`` and ``ibm_video`` answer for it as the vendors do, with the
modules named after them; ``serve`` puts an app on a socket.
Nothing here imports the rest of ``exporter``: who shares code with a client shares its mistakes.
"""
