"""A finished run answers rows of which no label is known, such as the test part of a challenge."""

import numpy as np
import pandas as pd

from auharness.data.cache import CropCache
from auharness.errors import AuharnessError, UsageError
from auharness.explain.loaded import LoadedRun
from auharness.results.schema import UnitRecord
from auharness.runner.parts import make_source, part_at, sounds_of
from auharness.runner.plan import crop_settings
from auharness.runner.predictions import prediction_frame
from auharness.runner.prepare import crops_of
from auharness.runner.progress import Progress
from auharness.training.predictor import predict

__all__ = ["predict_split"]


def predict_split(
    run: LoadedRun, unit: UnitRecord, *, dataset: str, split: str, tell: Progress | None = None
) -> pd.DataFrame:
    """Return the scores of one unit for a split that comes with the data, as a run writes them.

    Crops, windows, sound and averages are made as for the unit's own test part; labels are not looked at.

    Args:
        run: with its data.
        unit: whose weights answer.
        dataset: one that the run's protocol reads.
        split: name of the split in it.
        tell: hears of every recording whose crops are made.

    Returns:
        `sample_id`, `subject`, a score per output and `views`; rows that cannot be decoded are left out.

    Raises:
        UsageError: if the unit was trained on a recording of the split.
        DataError: if there is no such split, or no weights.
    """
    index, inputs, plugin = run.index, run.inputs, run.plugin(unit)
    positions = index.rows([(dataset, name) for name in index.split(dataset, split)], key="clip")
    trained = np.isin(positions, index.rows(run.fold(unit).train_ids, key=inputs.protocol.key))
    if trained.any():
        raise UsageError(
            f"{run.folder.path.name}: fold {unit.fold} was trained on {int(trained.sum())} of {len(positions)} rows of "
            f"{dataset} {split}; take a split that it has not seen"
        )
    crops = crops_of(inputs, index, positions, settings=crop_settings(plugin), jobs=1, tell=tell or Progress())
    caches = {name: CropCache(path) for name, path in crops.folders.items()}
    sounds = sounds_of(plugin, inputs.datasets)
    if sounds is not None:
        sounds[dataset].prepare(index.table["sequence"].iloc[positions].unique())
    part = part_at(index, positions, key=inputs.protocol.key, caches=caches)
    source = make_source(part, plugin, kind=index.kind, caches=caches, sounds=sounds)
    predictor = run.predictor(unit)
    scores = predict(predictor, source, size=plugin.recipe.eval_batch_size, device=predictor.fabric.device).numpy()
    if not np.isfinite(scores).all():
        raise AuharnessError(f"{plugin.name}: {int((~np.isfinite(scores)).sum())} scores are not finite")
    return prediction_frame(part, scores, unit.outputs, views=source.views)
