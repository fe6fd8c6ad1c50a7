"""The checks of lesson 04b know a right count from plausible wrong ones, and name what is wrong."""


def test_bytes_name_the_missing_gradient(assert_rejects):
    def reads(sweeps, size, kept):
        return 2 * size + 2 * size * (sweeps - 1) * (1 - kept)

    assert_rejects("04b.1", reads, "gradient is missing")


def test_bytes_name_the_missing_teacher(assert_rejects):
    def one_row(sweeps, size, kept):
        return size * (1 + (sweeps - 1) * (1 - kept)) + size

    assert_rejects("04b.1", one_row, "the student's and the teacher's")


def test_bytes_name_the_share_that_is_kept_before_anything_was_read(assert_rejects):
    def always(sweeps, size, kept):
        return 2 * size * sweeps * (1 - kept) + size

    assert_rejects("04b.1", always, "Nothing is on the chip yet")


def test_seconds_name_the_sum(assert_rejects):
    def both(bytes_moved, exponentials, bandwidth, rate):
        return bytes_moved / bandwidth + exponentials / rate

    assert_rejects("04b.2", both, "are added")


def test_seconds_name_the_shorter_time(assert_rejects):
    def shorter(bytes_moved, exponentials, bandwidth, rate):
        return min(bytes_moved / bandwidth, exponentials / rate)

    assert_rejects("04b.2", shorter, "the shorter of the two")


def test_seconds_name_a_limit_that_is_left_out(assert_rejects):
    def memory(bytes_moved, exponentials, bandwidth, rate):
        return bytes_moved / bandwidth

    assert_rejects("04b.2", memory, "the shorter of the two")


def test_seconds_name_fractions_upside_down(assert_rejects):
    def rates(bytes_moved, exponentials, bandwidth, rate):
        return max(bandwidth / bytes_moved, rate / exponentials)

    assert_rejects("04b.2", rates, "upside down")


def test_the_lost_row_is_not_rounded_down(assert_rejects):
    def down(vocabulary):
        return int(2**31 / vocabulary)

    assert_rejects("04b.3", down, "Round 2³¹/V up")


def test_the_lost_row_knows_the_sign(assert_rejects):
    def unsigned(vocabulary):
        return -(-(2**32) // vocabulary)

    assert_rejects("04b.3", unsigned, "without a sign")


def test_the_lost_row_counts_elements(assert_rejects):
    def bytes_of_16_bits(vocabulary):
        return -(-(2**31) // (2 * vocabulary))

    assert_rejects("04b.3", bytes_of_16_bits, "counts bytes")


def test_the_lost_row_of_a_power_of_two(assert_rejects):
    def one_too_many(vocabulary):
        return 2**31 // vocabulary + 1

    assert_rejects("04b.3", one_too_many, "2³¹ − 1")
