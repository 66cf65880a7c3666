"""The old name of `otoscope.studies`, for one version."""

from otoscope.core.renamed import renamed

__getattr__ = renamed(
    __name__,
    {
        name: f"otoscope.studies.{name}"
        for name in (
            "LikeToHearRecipe", "Replayer", "StudyRecipe", "like_to_hear", "load_like_to_hear", "load_study", "run_study",
        )
    },
)  # fmt: skip
