"""Every fast operation against `lax` in float64: values and both gradients."""

import itertools

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from jax import lax

from cnnflow import xla
from cnnflow.errors import OptionError
from cnnflow.kernels import onednn
from cnnflow.kernels.convolution import convolution, convolution_and_max_pool
from cnnflow.kernels.geometry import geometry
from cnnflow.kernels.pooling import average_pool, max_pool

LARGEST_ERROR = 1e-5
# All tests here run for each way that this machine has.
WAYS = ["onednn", "xla"] if xla.tested() else ["xla"]
pytestmark = pytest.mark.usefixtures("uncached")


@pytest.fixture(autouse=True, params=WAYS)
def way(request, monkeypatch):
    if request.param == "xla":
        monkeypatch.setattr(onednn, "available", lambda: False)
    monkeypatch.setattr(onednn, "FEWEST_IMAGES", 1)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def lax_convolution(x, kernel, strides=(1, 1), padding="same", dilation=(1, 1), groups=1):
    pads = padding.upper() if isinstance(padding, str) else "VALID"
    if not isinstance(padding, str):  # XLA's compiler aborts where a window sees padding alone, jaxlib 0.10.2
        x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        pads,
        rhs_dilation=dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def lax_max_pool(x, size, strides, padding="valid"):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, *size, 1), (1, *strides, 1), padding.upper())


def lax_average_pool(x, size, strides, padding="valid"):
    def total(values):
        return lax.reduce_window(values, 0.0, lax.add, (1, *size, 1), (1, *strides, 1), padding.upper())

    return total(x) / total(jnp.ones_like(x))


def outputs_and_gradients(function, *inputs):
    @jax.jit
    def run(*inputs):
        outputs, back = jax.vjp(function, *inputs)
        # Eighths: exact in every dtype.
        gradient = np.round(8 * np.cos(np.arange(outputs.size))).reshape(outputs.shape) / 8
        return outputs, *back(jnp.asarray(gradient, outputs.dtype))

    return run(*inputs)


def assert_same(fast, reference, *inputs, tolerance=LARGEST_ERROR):
    got = outputs_and_gradients(fast, *inputs)
    with jax.enable_x64(True):
        want = outputs_and_gradients(reference, *(jnp.asarray(value, jnp.float64) for value in inputs))
        want = [np.asarray(value) for value in want]
    for mine, theirs in zip(got, want, strict=True):
        assert mine.shape == theirs.shape
        error = np.abs(np.asarray(mine, np.float64) - theirs).max() / max(np.abs(theirs).max(), 1e-30)
        assert error <= tolerance


# n, h, w, c, o, kernel, strides, padding, dilation, groups
CONVOLUTIONS = [
    (2, 7, 5, 16, 17, (3, 3), (1, 1), "same", (1, 1), 1),
    (3, 8, 9, 20, 16, (3, 3), (1, 1), "valid", (1, 1), 1),
    (9, 1, 1, 16, 16, (3, 3), (1, 1), "same", (1, 1), 1),
    (1, 6, 6, 32, 64, (3, 3), (1, 1), "same", (1, 1), 1),
    (5, 4, 4, 64, 70, (3, 3), (1, 1), ((0, 1), (2, 0)), (1, 1), 1),
    (4, 12, 12, 512, 16, (3, 3), (1, 1), "same", (1, 1), 1),
    (1, 4, 4, 512, 512, (3, 3), (1, 1), "same", (1, 1), 1),
    (3, 7, 6, 1, 5, (3, 3), (1, 1), "same", (1, 1), 1),
    (2, 9, 8, 3, 4, (3, 3), (2, 2), "same", (1, 1), 1),
    (2, 9, 8, 2, 4, (5, 3), (2, 1), "valid", (1, 1), 1),
    (2, 9, 9, 3, 4, (3, 3), (1, 1), "same", (2, 2), 1),
    (2, 9, 9, 12, 4, (3, 3), (1, 1), "valid", (2, 3), 1),
    (3, 5, 7, 24, 8, (1, 1), (1, 1), "valid", (1, 1), 1),
    (3, 5, 7, 24, 8, (1, 1), (2, 2), "same", (1, 1), 1),
    (2, 5, 8, 20, 18, (3, 3), (2, 2), "same", (1, 1), 1),
    (2, 14, 14, 3, 8, (7, 7), (2, 2), "same", (1, 1), 1),
    (3, 9, 8, 6, 6, (3, 3), (1, 1), "same", (1, 1), 6),
    (3, 9, 8, 6, 6, (3, 3), (2, 2), "same", (1, 1), 6),
    (3, 9, 8, 6, 6, (5, 5), (2, 2), ((1, 2), (0, 3)), (1, 1), 6),
    (2, 9, 8, 6, 6, (3, 3), (1, 1), "valid", (2, 2), 6),
    (2, 6, 6, 8, 12, (3, 3), (1, 1), "same", (1, 1), 4),
    (2, 6, 6, 4, 8, (3, 3), (1, 1), "same", (1, 1), 4),
    (4, 13, 12, 64, 66, (3, 3), (1, 1), "same", (1, 1), 1),
    (4, 13, 12, 66, 64, (3, 3), (1, 1), "valid", (1, 1), 1),
    (3, 9, 7, 24, 20, (5, 3), (1, 1), "same", (1, 1), 1),
    (3, 9, 7, 24, 20, (3, 4), (1, 1), "valid", (1, 1), 1),
    (2, 12, 10, 24, 20, (3, 3), (1, 1), ((2, 3), (0, 4)), (1, 1), 1),
    (2, 9, 8, 4, 5, (3, 2), (2, 2), "same", (2, 1), 1),
    (2, 9, 8, 4, 6, (2, 3), (2, 1), "valid", (1, 2), 2),
    (3, 4, 7, 19, 10, (2, 3), (2, 3), ((1, 2), (0, 1)), (1, 1), 1),
]
# Ways of their own: many channels, one, Winograd's tiles; as many groups as channels.
CHUNKED = [CONVOLUTIONS[0], CONVOLUTIONS[7], CONVOLUTIONS[16], CONVOLUTIONS[22]]


def check_convolution(n, h, w, c, o, kernel, strides, padding, dilation, groups):
    options = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}

    def fast(x, k):
        return convolution(x, k, **options)

    def reference(x, k):
        return lax_convolution(x, k, **options)

    assert_same(fast, reference, draw(n, h, w, c), draw(*kernel, c // groups, o, seed=1))


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolution(case):
    check_convolution(*case)


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolution_of_bfloat16_rounds_its_results_once(case):
    n, h, w, c, o, kernel, strides, padding, dilation, groups = case
    options = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    x, taps = (jnp.asarray(a, jnp.bfloat16) for a in (draw(n, h, w, c), draw(*kernel, c // groups, o, seed=1)))

    def fast(x, k):
        return convolution(x, k, **options)

    assert all(value.dtype == jnp.bfloat16 for value in outputs_and_gradients(fast, x, taps))
    # bfloat16 has 8 bits: half of the last one of the largest result.
    assert_same(fast, lambda x, k: lax_convolution(x, k, **options), x, taps, tolerance=2**-8)


@pytest.mark.parametrize("rectify", [True, False])
def test_a_fused_convolution_of_bfloat16(rectify):
    x, taps, bias = (jnp.asarray(draw(*shape), jnp.bfloat16) for shape in [(8, 9, 8, 24), (3, 3, 24, 20), (20,)])

    def fast(x, k, b):
        return convolution_and_max_pool(x, k, b, rectify=rectify)

    with jax.enable_x64(True):
        wide = lax_convolution(*(jnp.asarray(value, jnp.float64) for value in (x, taps))) + np.float64(bias)
        want = np.asarray(lax_max_pool(jnp.maximum(wide, 0) if rectify else wide, (2, 2), (2, 2)))
    got, *gradients = outputs_and_gradients(fast, x, taps, bias)
    assert [value.dtype for value in (got, *gradients)] == [jnp.bfloat16] * 4
    assert np.abs(np.asarray(got, np.float64) - want).max() <= 2**-7 * np.abs(want).max()


@pytest.mark.parametrize("case", CHUNKED, ids=str)
@pytest.mark.parametrize("images", [1, 2])
def test_convolution_in_chunks(case, images, monkeypatch):
    """A batch of 5 in chunks of 1 and of 2: the last chunk is not full."""
    for module in ("tiled", "direct", "depthwise"):
        monkeypatch.setattr(f"cnnflow.kernels.{module}.chunk_images", lambda batch, *sizes: images)
    check_convolution(5, *case[1:])


@pytest.mark.slow
@pytest.mark.parametrize("channels", [(1, 1), (1, 32), (3, 64), (16, 16), (64, 32), (128, 130), (512, 512)], ids=str)
@pytest.mark.parametrize("side", [1, 2, 5, 14])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_grid(channels, side, kernel, stride):
    for padding, batch in itertools.product(("same", "valid"), (1, 7)):
        if padding == "same" or side >= kernel:
            windows = (kernel, kernel), (stride, stride), padding
            check_convolution(batch, side, side, *channels, *windows, (1, 1), 1)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_convolution_of_any_shape(data):
    n, c, o = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 20), st.integers(1, 20)))
    kernel = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    h, w = (data.draw(st.integers(size, 9)) for size in kernel)
    strides = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = data.draw(st.one_of(st.sampled_from(["same", "valid"]), st.just(((1, 2), (0, 1)))))
    check_convolution(n, h, w, c, o, kernel, strides, padding, (1, 1), 1)


POOLINGS = [
    (2, 4, 4, 3, (2, 2), (2, 2), "valid"),
    (2, 5, 7, 3, (2, 2), (2, 2), "valid"),
    (2, 5, 7, 3, (2, 2), (2, 2), "same"),
    (1, 9, 9, 2, (3, 3), (3, 3), "valid"),
    (3, 9, 8, 5, (3, 3), (2, 2), "same"),
    (3, 9, 8, 5, (3, 3), (2, 2), "valid"),
    (2, 6, 6, 1, (2, 3), (1, 1), "same"),
    (2, 9, 9, 2, (2, 2), (3, 3), "valid"),
    (1, 1, 1, 1, (1, 1), (1, 1), "valid"),
]


@pytest.mark.parametrize("case", POOLINGS, ids=str)
@pytest.mark.parametrize(("fast", "reference"), [(max_pool, lax_max_pool), (average_pool, lax_average_pool)])
def test_pooling(case, fast, reference):
    *shape, size, strides, padding = case
    assert_same(lambda x: fast(x, size, strides, padding), lambda x: reference(x, size, strides, padding), draw(*shape))


def test_a_tie_in_max_pooling_gives_the_gradient_to_the_first_in_row_major_order():
    for size, strides in (((2, 2), (2, 2)), ((3, 3), (2, 2))):
        gradient = jax.grad(lambda x, s=size, t=strides: max_pool(x, s, t).sum())(jnp.zeros((1, 3, 3, 1)))
        assert gradient[0, :, :, 0].tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


FUSED = [
    (3, 8, 10, 1, 5, "same", 1),
    (3, 9, 7, 3, 5, "same", 1),
    (2, 9, 7, 3, 5, "valid", 2),
    (3, 8, 10, 16, 20, "same", 1),
    (2, 7, 9, 20, 16, "same", 1),
    (2, 8, 9, 16, 16, "valid", 1),
    (4, 13, 12, 64, 66, "same", 1),
    (4, 12, 13, 66, 64, "valid", 1),
]


@pytest.mark.parametrize("case", FUSED, ids=str)
@pytest.mark.parametrize("rectify", [True, False])
def test_convolution_fused_with_pooling(case, rectify):
    n, h, w, c, o, padding, stride = case

    def fast(x, k, b):
        return convolution_and_max_pool(x, k, b, rectify=rectify, strides=(stride, stride), padding=padding)

    def reference(x, k, b):
        y = lax_convolution(x, k, (stride, stride), padding) + b
        return lax_max_pool(jnp.maximum(y, 0) if rectify else y, (2, 2), (2, 2))

    assert_same(fast, reference, draw(n, h, w, c), draw(3, 3, c, o, seed=1), draw(o, seed=2))


def test_a_convolution_that_cannot_be_fused_says_so():
    with pytest.raises(OptionError, match="too small"):
        convolution_and_max_pool(draw(1, 3, 8, 15), draw(3, 3, 15, 4), draw(4), rectify=True, padding="valid")


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.bfloat16, 1e-2), (jnp.float16, 2e-3)])
@pytest.mark.parametrize("case", [(2, 6, 6, 16, 16, 1), (2, 6, 6, 1, 8, 1), (2, 6, 6, 6, 6, 6)], ids=str)
def test_half_precision_in_and_out(dtype, tolerance, case):
    n, h, w, c, o, groups = case
    x, kernel = jnp.asarray(draw(n, h, w, c), dtype), jnp.asarray(draw(3, 3, c // groups, o, seed=1), dtype)

    def fast(x, k):
        return max_pool(convolution(x, k, groups=groups), (2, 2), (2, 2))

    assert all(value.dtype == dtype for value in outputs_and_gradients(fast, x, kernel))
    assert_same(
        lambda x, k: convolution(x, k, groups=groups),
        lambda x, k: lax_convolution(x, k, groups=groups),
        x,
        kernel,
        tolerance=tolerance,
    )


@pytest.mark.parametrize(("channels", "groups"), [(64, 1), (16, 1), (2, 1), (4, 4)])
def test_gradients_of_gradients(channels, groups):
    x, kernel = draw(2, 6, 6, channels), draw(3, 3, channels // groups, channels, seed=1)

    def twice(convolve):
        def loss(k, x):
            return (jnp.tanh(convolve(x, k)) ** 2).sum()

        return lambda x, k: (jax.grad(loss)(k, x) ** 2).sum()

    assert_same(
        twice(lambda x, k: convolution(x, k, groups=groups)),
        twice(lambda x, k: lax_convolution(x, k, groups=groups)),
        x,
        kernel,
        tolerance=1e-4,
    )


def test_gradients_of_the_gradients_of_pooling_and_of_the_fused_operation():
    x, kernel, bias = draw(2, 6, 6, 3), draw(3, 3, 3, 4, seed=1), draw(4, seed=2)

    def fast(x, k, b):
        y = convolution_and_max_pool(x, k, b, rectify=True)
        return (average_pool(max_pool(jnp.sin(y), (2, 2), (1, 1)), (2, 2), (1, 1)) ** 2).sum()

    def reference(x, k, b):
        # The place of a window's largest element does not change, so that ours in elementary operations is a fair one.
        y = jnp.maximum(lax_convolution(x, k) + b, 0)
        y = jnp.sin(y.reshape(2, 3, 2, 3, 2, 4).max((2, 4)))
        y = jnp.maximum(jnp.maximum(y[:, :-1, :-1], y[:, :-1, 1:]), jnp.maximum(y[:, 1:, :-1], y[:, 1:, 1:]))
        return (y.mean((1, 2)) ** 2).sum()

    def twice(loss):
        return lambda x, k, b: (jax.grad(loss, 1)(x, k, b) ** 2).sum()

    assert_same(twice(fast), twice(reference), x, kernel, bias, tolerance=1e-4)


@pytest.mark.parametrize("channels", [32, 64])
def test_results_are_the_same_to_the_last_bit_each_time(channels):
    def fast(x, k, b):
        return convolution(convolution_and_max_pool(x, k, b, rectify=True), k)

    inputs = draw(16, 16, 16, channels), draw(3, 3, channels, channels, seed=1), draw(channels, seed=2)
    first = [np.asarray(value).tobytes() for value in outputs_and_gradients(fast, *inputs)]
    for _ in range(5):
        assert [np.asarray(value).tobytes() for value in outputs_and_gradients(fast, *inputs)] == first


@pytest.mark.parametrize("padding", ["full", ((9, 0), (0, 0), (1, 1))])
def test_a_bad_padding_is_refused(padding):
    with pytest.raises((OptionError, ValueError)):
        convolution(draw(1, 4, 4, 1), draw(3, 3, 1, 1), padding=padding)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(OptionError, match="groups"):
        convolution(draw(1, 4, 4, 3), draw(3, 3, 4, 1))
    with pytest.raises(OptionError, match="window fits"):
        geometry((2, 2), (3, 3), (1, 1), "valid")
