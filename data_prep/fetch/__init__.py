"""Everything that goes over HTTP: one polite, resumable :class:`Fetcher` and what it is made of.

``policy`` what the configuration says, ``answers`` what comes back, ``fetcher`` the public object, ``images`` pictures
at the needed size, ``pictures`` the seam to the pipeline.
"""
