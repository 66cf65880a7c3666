"""The run itself: Lightning's Trainer configured by a recipe, and resuming."""

from __future__ import annotations

import contextlib
import inspect
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from otoscope.core.errors import NonFiniteError, OtoscopeError, ParameterError, UnknownNameError
from otoscope.core.runtime import require
from otoscope.training.settings import OptimiserSettings, RunSettings

OURS = ("callbacks", "logger", "max_epochs", "enable_checkpointing", "default_root_dir", "use_distributed_sampler")


def make_trainer(
    lightning: Any,
    recipe: RunSettings,
    out: Path,
    device: torch.device,
    batches: int,
    validates: bool,
    watch: tuple[str, str] = ("val/accuracy", "max"),
) -> Any:
    """Lightning's Trainer; ``trainer:`` of the recipe overrides everything that the recipe does not set itself.

    ``batches`` is the number of batches an epoch, ``watch`` the logged value that makes an epoch the best one, and whether
    the largest ("max") or the smallest ("min") is.

    Raises
    ------
    OtoscopeError
        For a setting that Lightning does not know or refuses.
    """
    known = inspect.signature(lightning.Trainer).parameters
    for key in recipe.trainer:
        if key not in known:
            raise UnknownNameError("setting in trainer", key, known)
        if key in OURS:
            raise ParameterError(
                f"trainer: {key} is set by the recipe itself (optimiser.epochs, loggers, out, ...); leave it out"
            )
    settings = recipe.optimiser
    arguments = {
        "max_epochs": settings.epochs,
        "accelerator": "gpu" if device.type == "cuda" else "cpu",
        "devices": [device.index or 0] if device.type == "cuda" else 1,
        "precision": recipe.precision,
        "gradient_clip_val": settings.clip_norm or None,
        "accumulate_grad_batches": settings.accumulate,
        "logger": _loggers(recipe, out),
        "callbacks": _callbacks(recipe, out, validates, *watch),
        "log_every_n_steps": min(10, batches),
        "check_val_every_n_epoch": 1 if settings.early_stopping or settings.keep == "best" else 5,
        "num_sanity_val_steps": 0,
        "enable_model_summary": False,
        "use_distributed_sampler": False,  # the sampler shards by itself
        **recipe.trainer,
    }
    with _quiet():
        try:
            return lightning.Trainer(**arguments)
        except OtoscopeError:
            raise
        except Exception as error:
            said = " ".join(str(error).split())[:300]
            raise ParameterError(f"Lightning refused the recipe's precision or trainer settings: {said}") from error


def _loggers(recipe: RunSettings, out: Path) -> list[Any]:
    from lightning.pytorch import loggers

    made: list[Any] = []
    for name in recipe.loggers:
        if name == "tensorboard":
            made.append(loggers.TensorBoardLogger(str(out), name="tensorboard", version=""))
        elif name == "csv":
            made.append(loggers.CSVLogger(str(out), name="csv", version=""))
        else:
            require("wandb", "wandb", "the recipe's logger wandb")
            made.append(loggers.WandbLogger(name=recipe.name, save_dir=str(out), project="otoscope"))
    return made


def _callbacks(recipe: RunSettings, out: Path, validates: bool, watched: str, mode: str) -> list[Any]:
    from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, Timer, WeightAveraging

    settings = recipe.optimiser
    if (settings.early_stopping or settings.keep == "best") and not validates:
        raise ParameterError("optimiser.early_stopping and keep: best need a validation fold; give data.validation")
    made = [
        Timer(),
        ModelCheckpoint(str(out), filename="last", save_on_train_epoch_end=True, enable_version_counter=False),
    ]
    if settings.keep == "best":
        made.append(
            ModelCheckpoint(str(out), filename="best", monitor=watched, mode=mode, enable_version_counter=False)
        )
    if settings.early_stopping:
        made.append(EarlyStopping(watched, mode=mode, patience=settings.early_stopping, check_finite=False))
    if settings.average_from:

        class Averaging(WeightAveraging):
            """Equal weights for every epoch from the given one on."""

            def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
                return epoch_idx is not None and epoch_idx >= settings.average_from - 1

        made.append(Averaging())
    return made


def fit_module(trainer: Any, settings: OptimiserSettings, module: Any, batches: tuple[Any, Any], out: Path) -> float:
    """Train a Lightning module, or resume; returns the seconds it took, including those before an interruption.

    What the module holds afterwards is read from the checkpoint: of the last epoch (the average, where weights are
    averaged) or of the best one; so a run that was stopped after its last epoch ends with the same weights too.
    ``batches`` are the loaders to train on and to watch (or None); the module's ``prepare()`` is called before it trains.
    """
    training, validation = batches
    last, best = out / "last.ckpt", out / "best.ckpt"
    done = read_checkpoint(last, module) if last.is_file() else None
    if done is not None:
        training.sampler.set_epoch(done["epoch"] + 1)  # workers read ahead at once
    if done is None or not _is_over(done, settings.epochs):
        module.prepare()
        _train(trainer, module, training, validation, last if done is not None else None)
        if trainer.interrupted:
            raise KeyboardInterrupt
    ended = read_checkpoint(last, module)
    final = read_checkpoint(best, module) if settings.keep == "best" and best.is_file() else ended
    module.load_state_dict(final["state_dict"])
    module.on_load_checkpoint(final)
    if not all(torch.isfinite(v).all() for v in final["state_dict"].values()):
        raise NonFiniteError(
            f"the trained weights hold NaN or infinite values ({out}); lower optimiser.lr and start again"
        )
    return float(ended["callbacks"]["Timer"]["time_elapsed"]["train"])


def _train(trainer: Any, module: Any, batches: Any, validation: Any, last: Path | None) -> None:
    with _quiet():
        try:
            trainer.fit(module, batches, validation, ckpt_path=str(last) if last else None, weights_only=True)
        except OtoscopeError:
            raise
        except OSError as error:
            raise OtoscopeError(
                f"the run stopped: {error.strerror or error} ({error.filename or 'while a file was written'}); the last good "
                "checkpoint is kept; run the same command to resume"
            ) from error


def read_checkpoint(path: Path, module: torch.nn.Module) -> dict[str, Any]:
    """A checkpoint of this run.

    Raises
    ------
    OtoscopeError
        If it is damaged, or of another network.
    """
    hint = "delete it to start again, or give another out=FOLDER"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        shapes = {k: v.shape for k, v in content["state_dict"].items()}
        whole = isinstance(content["epoch"], int) and isinstance(content["callbacks"], dict)
    except Exception as error:
        raise OtoscopeError(f"cannot resume from {path}: it is damaged ({type(error).__name__}); {hint}") from error
    if not whole or shapes != {k: v.shape for k, v in module.state_dict().items()}:
        raise OtoscopeError(f"cannot resume from {path}: it is of another network or of other classes; {hint}")
    return content


def _is_over(checkpoint: dict[str, Any], epochs: int) -> bool:
    """Whether a checkpoint is of a finished run: all epochs done, or stopped early."""
    if checkpoint["epoch"] + 1 >= epochs:
        return True
    early = [state for name, state in checkpoint["callbacks"].items() if name.startswith("EarlyStopping")]
    return bool(early) and early[0]["wait_count"] >= early[0]["patience"]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's log below warnings, and its and torch's warnings, inside the block."""
    log = logging.getLogger("lightning.pytorch")
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", module="torch")
            yield
    finally:
        log.setLevel(before)


def lay_out(model: torch.nn.Module, memory_format: torch.memory_format) -> None:
    """Set the memory format of a model's weights."""
    model.to(memory_format=memory_format)  # type: ignore[call-overload]  # torch's stubs lack this form


def round_half(network: torch.nn.Module) -> None:
    """Round floating-point weights to what float16 can hold, in place."""
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.copy_(value.half())
