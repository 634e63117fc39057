"""The vendors as ``demo`` and the tests see them: strict ASGI apps over one deterministic, made-up audience.

``arithmetic`` and ``grid`` are the ground, ``world`` (SmartSight) and ``audience`` (IBM) say what happened
when, ``smartsight`` and ``ibm_video`` answer for it as the vendors do, ``serve`` puts an app on a socket.
Nothing here imports the rest of ``exporter``: who shares code with a client shares its mistakes.
"""
