"""Small recordings of a robot that does not exist, in the layouts that real ones come in."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

RATE = 30
LENGTHS = (40, 30, 36, 50, 44, 38, 32, 46, 40, 34)


def arm(lengths=LENGTHS, seed=0):
    """Episodes of an arm of two joints: state, action (the place to go to, radians), time."""
    generator, found = np.random.default_rng(seed), []
    for rows in lengths:
        state = generator.normal(0, 0.3, 2)
        episode = {"observation.state": [], "action": []}
        for _ in range(rows):
            action = state + generator.normal(0, 0.2, 2) - 0.1 * state
            episode["observation.state"].append(state)
            episode["action"].append(action)
            state = state + 0.3 * (action - state)
        episode = {key: np.array(x, np.float32) for key, x in episode.items()}
        found.append(episode | {"timestamp": (np.arange(rows) / RATE).astype(np.float32)})
    return found


def info(version, episodes, **changes):
    """What `meta/info.json` says, as LeRobot writes it."""
    size = len(episodes[0]["action"][0])
    vector = {"dtype": "float32", "shape": [size], "names": {"motors": ["shoulder", "elbow"]}}
    one = {"shape": [1], "names": None}
    path = (
        "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
        if version == "v2.1"
        else "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
    )
    return {
        "codebase_version": version,
        "robot_type": "arm",
        "total_episodes": len(episodes),
        "total_frames": sum(len(x["action"]) for x in episodes),
        "total_tasks": 1,
        "chunks_size": 1000,
        "fps": RATE,
        "splits": {"train": f"0:{len(episodes)}"},
        "data_path": path,
        "video_path": None,
        "features": {
            "observation.state": vector,
            "action": vector,
            "timestamp": {"dtype": "float32"} | one,
            **{k: {"dtype": "int64"} | one for k in ("frame_index", "episode_index", "index")},
            "task_index": {"dtype": "int64"} | one,
        },
    } | changes


def table(number, episode, start):
    """The rows of an episode as LeRobot stores them."""
    rows = len(episode["action"])
    columns = {key: _column(x) for key, x in episode.items()}
    columns["frame_index"] = pa.array(np.arange(rows))
    columns["episode_index"] = pa.array(np.full(rows, number))
    columns["index"] = pa.array(np.arange(start, start + rows))
    columns["task_index"] = pa.array(np.zeros(rows, np.int64))
    return pa.table(columns)


def _column(x):
    if x.ndim == 1:
        return pa.array(x)
    return pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), x.shape[1])


def write_v21(root, episodes, **changes):
    """A folder of LeRobot's version 2.1."""
    meta, data = root / "meta", root / "data" / "chunk-000"
    meta.mkdir(parents=True)
    data.mkdir(parents=True)
    (meta / "info.json").write_text(json.dumps(info("v2.1", episodes, **changes)))
    lines = [
        {"episode_index": k, "tasks": ["reach"], "length": len(x["action"])}
        for k, x in enumerate(episodes)
    ]
    (meta / "episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (meta / "tasks.jsonl").write_text('{"task_index": 0, "task": "reach"}\n')
    start = 0
    for k, episode in enumerate(episodes):
        pq.write_table(table(k, episode, start), data / f"episode_{k:06d}.parquet")
        start += len(episode["action"])
    return root


def write_v3(root, episodes, per_file=4, **changes):
    """A folder of version 3.0: several episodes a file, a row group each."""
    (root / "meta" / "episodes" / "chunk-000").mkdir(parents=True)
    (root / "data" / "chunk-000").mkdir(parents=True)
    (root / "meta" / "info.json").write_text(json.dumps(info("v3.0", episodes, **changes)))
    start, about = 0, []
    for file in range(-(-len(episodes) // per_file)):
        own = list(enumerate(episodes))[file * per_file : (file + 1) * per_file]
        place = root / "data" / "chunk-000" / f"file-{file:03d}.parquet"
        with pq.ParquetWriter(place, table(*own[0], 0).schema, compression="snappy") as writer:
            for number, episode in own:
                writer.write_table(table(number, episode, start))
                rows = len(episode["action"])
                about.append({
                    "episode_index": number, "tasks": ["reach"], "length": rows,
                    "data/chunk_index": 0, "data/file_index": file,
                    "dataset_from_index": start, "dataset_to_index": start + rows,
                    "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0,
                })  # fmt: skip
                start += rows
    path = root / "meta" / "episodes" / "chunk-000" / "file-000.parquet"
    pq.write_table(pa.Table.from_pylist(about), path)
    tasks = pa.table({"task_index": [0], "task": ["reach"]})
    pq.write_table(tasks, root / "meta" / "tasks.parquet")
    return root
