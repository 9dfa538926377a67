import struct
import wave
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from auharness.data.decode import count_video_frames, read_image, read_video_frames, scan_video_frames, video_times
from auharness.errors import DataError


def textured(height=48, width=64):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def jpeg(image, *options):
    return cv2.imencode(".jpg", image, list(options))[1].tobytes()


def with_segment(data, payload):
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + data[2:]


def coded(number):
    """Eight stripes, black or white: the frame number in binary, so that no codec can blur it into its neighbour."""
    stripes = [255 * (number >> bit & 1) for bit in range(8)]
    return np.repeat(np.repeat(np.array(stripes, np.uint8), 12)[None, :, None], 64, axis=0).repeat(3, axis=2)


def numbers(pairs):
    stripes = ((frame, image.reshape(64, 8, 12, 3).mean(axis=(0, 2, 3)) > 127) for frame, image in pairs)
    return [(frame, sum(int(on) << bit for bit, on in enumerate(bits))) for frame, bits in stripes]


def video(path, codec, count, *, pix_fmt="yuv420p", stamps=None):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=20, options={"bf": "2"} if codec == "mpeg4" else {})
        stream.width, stream.height, stream.pix_fmt = 96, 64, pix_fmt
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(coded(i), format="rgb24")
            if stamps is not None:
                frame.pts, frame.time_base = stamps[i], Fraction(1, 20)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def damage_packet(path, number):
    with av.open(str(path)) as container:
        position, size = [(p.pos, p.size) for p in container.demux(video=0) if p.size][number]
    data = bytearray(path.read_bytes())
    data[position : position + size] = b"\xaa" * size
    path.write_bytes(data)


def test_pictures_are_rgb_and_grey_becomes_rgb(tmp_path):
    image = np.zeros((4, 6, 3), np.uint8)
    image[:, :3, 0] = 255
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    cv2.imwrite(str(tmp_path / "grey.png"), image[..., 0])
    assert np.array_equal(read_image(tmp_path / "a.png"), image)
    assert np.array_equal(read_image(tmp_path / "grey.png"), np.repeat(image[..., :1], 3, axis=2))


def test_a_camera_that_was_turned_gives_an_upright_picture(tmp_path):
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)  # orientation 6: turn by a quarter, clockwise
    exif = b"Exif\0\0" + struct.pack("<2sHIH", b"II", 42, 8, 1) + entry + b"\0\0\0\0"
    image = np.zeros((16, 32, 3), np.uint8)
    image[:, :16] = 250
    (tmp_path / "a.jpg").write_bytes(with_segment(jpeg(image), exif))
    upright = read_image(tmp_path / "a.jpg")
    assert upright.shape == (32, 16, 3)
    assert upright[:12].mean() > 240 and upright[20:].mean() < 10


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, "last two bytes"])
def test_a_jpeg_that_ends_early_is_refused_by_name(tmp_path, share):
    # the thumbnail inside the header has an end marker of its own
    data = with_segment(jpeg(textured()), b"Exif\0\0" + jpeg(textured(8, 8)))
    end = len(data) - 2 if isinstance(share, str) else int(len(data) * share)
    (tmp_path / "half.jpg").write_bytes(data[:end])
    with pytest.raises(DataError, match=r"half\.jpg: expected a whole JPEG file"):
        read_image(tmp_path / "half.jpg")


@pytest.mark.parametrize(
    "options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)], ids=["", "prog", "restart"]
)
def test_whole_jpegs_pass_with_thumbnail_and_padding(tmp_path, options):
    image = textured()
    data = with_segment(jpeg(image, *options), b"Exif\0\0" + jpeg(textured(8, 8))) + bytes(64)
    (tmp_path / "a.jpg").write_bytes(data)
    assert np.array_equal(read_image(tmp_path / "a.jpg"), cv2.imdecode(np.frombuffer(data, np.uint8), 1)[..., ::-1])


def test_a_png_that_ends_early_is_refused(tmp_path):
    data = cv2.imencode(".png", textured())[1].tobytes()
    (tmp_path / "half.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"half\.png: expected a whole PNG"):
        read_image(tmp_path / "half.png")


@pytest.mark.parametrize(("content", "message"), [(b"", "zero bytes"), (b"hello", "cannot decode"), (None, "No such")])
def test_what_is_no_picture_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(DataError, match=rf"x\.jpg: .*{message}"):
        read_image(tmp_path / "x.jpg")


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.avi", "mjpeg", "yuvj420p"),
        ("b.avi", "mpeg4", "yuv420p"),
        ("c.mp4", "mpeg4", "yuv420p"),
        ("d.mp4", "libx264", "yuv420p"),
        ("e.avi", "libx264", "yuv420p"),
        ("f.mkv", "libx264", "yuv420p"),
    ],
)
def test_each_video_frame_has_its_number_in_order_of_presentation(tmp_path, name, codec, pix_fmt):
    video(tmp_path / name, codec, 50, pix_fmt=pix_fmt)
    wanted = [0, 1, 7, 8, 30, 48, 49]
    assert numbers(read_video_frames(tmp_path / name, wanted)) == [(i, i) for i in wanted]
    assert numbers(read_video_frames(tmp_path / name, range(50))) == [(i, i) for i in range(50)]
    assert count_video_frames(tmp_path / name) == 50


def test_frames_are_counted_not_timed_when_the_rate_varies(tmp_path):
    video(tmp_path / "a.mp4", "mpeg4", 6, stamps=[0, 1, 4, 9, 10, 20])
    assert numbers(read_video_frames(tmp_path / "a.mp4", range(6))) == [(i, i) for i in range(6)]


def test_a_damaged_frame_is_missing_and_shifts_no_other(tmp_path):
    path = tmp_path / "a.avi"
    video(path, "mjpeg", 30, pix_fmt="yuvj420p")
    damage_packet(path, 12)
    found = dict(scan_video_frames(path, range(30)))
    assert isinstance(found[12], DataError) and "frame 12 cannot be decoded" in str(found[12])
    intact = [(i, image) for i, image in found.items() if i != 12]
    assert numbers(intact) == [(i, i) for i in range(30) if i != 12]
    with pytest.raises(DataError, match=r"a\.avi: frame 12"):
        list(read_video_frames(path, [3, 12, 20]))


def test_after_damage_nothing_counts_until_the_next_key_frame(tmp_path):
    path = tmp_path / "a.mp4"
    video(path, "libx264", 30)
    damage_packet(path, 10)
    found = list(scan_video_frames(path, range(30)))
    good = [(i, image) for i, image in found if not isinstance(image, DataError)]
    assert [i for i, _ in found] == list(range(30))
    assert 0 < len(good) < 30 and numbers(good) == [(i, i) for i, _ in good]


def test_without_time_stamps_the_first_damage_ends_the_reading(tmp_path):
    path = tmp_path / "a.avi"
    video(path, "libx264", 40)
    damage_packet(path, 20)
    found = list(scan_video_frames(path, range(40)))
    good = [(i, image) for i, image in found if not isinstance(image, DataError)]
    assert [i for i, _ in found] == list(range(40))
    assert 0 < len(good) <= 21 and numbers(good) == [(i, i) for i in range(len(good))]
    assert "cannot be decoded" in str(found[-1][1])


def test_too_few_frames_say_how_many_there_are(tmp_path):
    video(tmp_path / "a.avi", "mjpeg", 10, pix_fmt="yuvj420p")
    with pytest.raises(DataError, match=r"a\.avi: expected at least 13 video frames, got 10"):
        list(read_video_frames(tmp_path / "a.avi", [2, 12]))


@pytest.mark.parametrize(
    "fault", ["zero bytes", "No such file|no such file", "FFmpeg reads", "no video stream|got none"]
)
def test_what_is_no_video_is_refused(tmp_path, fault):
    path = tmp_path / "v.avi"
    if fault == "zero bytes":
        path.touch()
    elif fault.startswith("FFmpeg"):
        path.write_bytes(b"not a video" * 100)
    elif fault.startswith("no video"):
        with wave.open(str(path), "wb") as sound:
            sound.setparams((1, 2, 8000, 0, "NONE", ""))
            sound.writeframes(bytes(16000))
    with pytest.raises(DataError, match=rf"v\.avi: .*({fault})"):
        list(read_video_frames(path, [0]))
    with pytest.raises(DataError, match=rf"v\.avi: .*({fault})"):
        count_video_frames(path)


@pytest.mark.parametrize("frames", [[3, 3], [4, 2], [-1]])
def test_frames_must_ascend(tmp_path, frames):
    with pytest.raises(ValueError, match="strictly increasing"):
        list(read_video_frames(tmp_path / "v.avi", frames))


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("b.mkv", "libx264"), ("c.avi", "libx264"), ("d.avi", "mjpeg")]
)
def test_times_of_an_even_film_are_those_of_its_rate_whatever_the_order_of_storage(tmp_path, name, codec):
    video(tmp_path / name, codec, 50, pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p")
    np.testing.assert_array_equal(video_times(tmp_path / name), np.arange(50) / 20)


def test_times_follow_the_stamps_when_the_rate_varies(tmp_path):
    stamps = [0, 1, 4, 9, 10, 20]
    video(tmp_path / "a.mp4", "mpeg4", 6, stamps=stamps)
    np.testing.assert_array_equal(video_times(tmp_path / "a.mp4"), np.array(stamps) / 20)


@pytest.mark.parametrize("sound", [True, False])
def test_time_0_is_where_the_earliest_stream_begins(tmp_path, sound):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=20)
        stream.width, stream.height = 96, 64
        track = container.add_stream("aac", rate=16000) if sound else None
        for number in range(4):
            frame = av.VideoFrame.from_ndarray(coded(number), format="rgb24")
            frame.pts, frame.time_base = number + 5, Fraction(1, 20)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if track is not None:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), format="s16", layout="mono")
            frame.rate, frame.pts = 16000, 0
            container.mux(track.encode(frame))
            container.mux(track.encode())
    np.testing.assert_allclose(video_times(path), (np.arange(4) + (5 if sound else 0)) / 20, atol=1e-9)


def test_times_of_no_video_are_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"a\.mp4: expected a video that FFmpeg reads"):
        video_times(tmp_path / "a.mp4")
