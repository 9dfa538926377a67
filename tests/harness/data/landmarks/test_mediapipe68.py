import sys
from types import SimpleNamespace

import numpy as np
import pytest

from auharness.data.flip import FLIP_68
from auharness.data.landmarks import make_source
from auharness.data.landmarks.mediapipe68 import TABLES, MediaPipeDetector, mesh_to_68
from auharness.errors import DataError


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_each_table_names_68_vertices_of_the_mesh(name):
    assert len(TABLES[name]) == 68
    assert all(0 <= vertex < 468 for point in TABLES[name] for vertex in point)


def test_the_tables_are_the_published_ones_at_the_points_that_tell_them_apart():
    assert [TABLES[name][8] for name in "abc"] == [(152,), (152,), (176,)]
    assert [TABLES[name][55] for name in "abc"] == [(405,), (321,), (405,)]
    assert [TABLES[name][59] for name in "abc"] == [(181,), (91,), (181,)]
    assert TABLES["b"][3] == (132, 58) and TABLES["b"][27] == (168, 6) and TABLES["c"][10] == (152,)
    assert TABLES["a"][36:48] == TABLES["b"][36:48] == TABLES["c"][36:48]
    assert TABLES["a"][60:] == TABLES["b"][60:] == TABLES["c"][60:]


def test_mirrored_points_use_mirrored_vertices_in_every_table():
    partner = {}
    for name, table in TABLES.items():
        # the jaws of b and c are not symmetric as published
        for point in range(0 if name == "a" else 17, 68):
            if len(table[point]) == 1:
                vertex, mirrored = table[point][0], table[FLIP_68[point]][0]
                # as published: the lower outer lip of a and c is 405, 314, 17, 84, 181, the upper is symmetric too
                assert partner.setdefault(vertex, mirrored) == mirrored, (name, point)
    assert partner[33] == 263 and partner[61] == 291


def test_a_pair_of_vertices_is_their_mean():
    mesh = np.stack([np.arange(478.0), 1000 - np.arange(478.0)], axis=1)
    points = mesh_to_68(mesh)
    assert points[3].tolist() == [95.0, 905.0]
    assert points[8].tolist() == [152.0, 848.0]
    assert mesh_to_68(mesh, table="a")[59].tolist() == [181.0, 819.0]


def fake_mediapipe(faces):
    class FaceMesh:
        def __init__(self, **settings):
            assert settings == {"static_image_mode": True, "max_num_faces": 1, "refine_landmarks": True}

        def process(self, image):
            return SimpleNamespace(multi_face_landmarks=faces)

    return SimpleNamespace(
        __version__="0.10.21", solutions=SimpleNamespace(face_mesh=SimpleNamespace(FaceMesh=FaceMesh))
    )


def test_the_detector_gives_pixels_with_whole_numbers_at_centres(monkeypatch):
    mesh = SimpleNamespace(landmark=[SimpleNamespace(x=0.5, y=0.25)] * 478)
    monkeypatch.setitem(sys.modules, "mediapipe", fake_mediapipe([mesh]))
    points = MediaPipeDetector()(np.zeros((100, 200, 3), np.uint8))
    assert np.array_equal(points, np.tile(np.float32([99.5, 24.5]), (68, 1)))


def test_no_face_is_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", fake_mediapipe(None))
    assert MediaPipeDetector(table="a")(np.zeros((100, 200, 3), np.uint8)) is None


@pytest.mark.parametrize("module", [None, SimpleNamespace(__version__="1.2.2")], ids=["missing", "without the mesh"])
def test_a_missing_package_is_one_line_with_the_install_command(monkeypatch, module):
    monkeypatch.setitem(sys.modules, "mediapipe", module)
    make_source.cache_clear()
    with pytest.raises(DataError, match=r"pip install --no-deps mediapipe==0\.10\.21") as caught:
        make_source("mediapipe")
    assert "\n" not in str(caught.value) and caught.value.exit_code == 3
