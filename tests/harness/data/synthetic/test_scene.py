import numpy as np

from auharness.data.synthetic.scene import sample_scene


def test_domain_and_seed_decide_everything():
    assert sample_scene("disfa", 3) == sample_scene("disfa", 3)
    assert len({sample_scene(domain, seed) for domain in ("bp4d", "disfa", "dfew") for seed in range(10)}) == 30


def test_the_studio_is_sharper_and_its_faces_are_larger_than_in_the_lounge():
    studio, lounge = ([sample_scene(domain, seed) for seed in range(20)] for domain in ("bp4d", "disfa"))
    assert min(scene.scale for scene in studio) > max(scene.scale for scene in lounge)
    assert max(scene.noise for scene in studio) < min(scene.noise for scene in lounge)


def test_vendors_that_crop_to_the_face_fill_the_frame_with_it():
    tight = [sample_scene(domain, seed).scale for domain in ("casme2", "samm") for seed in range(20)]
    assert min(tight) > 1.2 * max(sample_scene("bp4d", seed).scale for seed in range(20))


def test_light_directions_are_unit_vectors_towards_the_camera_side():
    for domain in ("bp4d", "disfa", "casme2", "samm", "anything"):
        for seed in range(10):
            light = np.array(sample_scene(domain, seed).light)
            assert np.isclose(np.linalg.norm(light), 1)
            assert light[2] > 0


def test_unknown_domains_are_mixes_of_their_own():
    assert sample_scene("dfew", 0) != sample_scene("ferv39k", 0)
