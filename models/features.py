"""Names shared by training and serving: feature keys, special tokens, signatures."""

from typing import Final

# Features of a raw example (written by the importers).
IMAGE_ID: Final = "image_id"
IMAGE_ENCODED: Final = "image/encoded"  # upright RGB JPEG
CAPTIONS: Final = "captions"  # human captions as written, one string each
SOURCE: Final = "source"
WIDTH: Final = "width"
HEIGHT: Final = "height"
CONTENT_HASH: Final = "content_hash"  # hex SHA-256 of image/encoded
SPAN: Final = "span"
OBJECTS: Final = "objects"  # how many are in the image, where the source tells
PEOPLE: Final = "people"  # likewise
SLICED: Final = (SOURCE, SPAN, OBJECTS, PEOPLE)  # evaluations are sliced by these

# Added by the ImageFeaturizer, which drops image/encoded.
IMAGE_FEATURES: Final = "image/features"  # float16 bytes, little-endian, C order [R, D]

# Added by Transform: CAPTION_LENGTH ids a caption, the captions of an image one after the other.
TOKEN_IDS: Final = "token_ids"

# Special tokens ("action words") in id order; the names and the order are the 2017 original's.
MASK: Final = "{MASK}"  # padding
UNK: Final = "{UNK}"
START: Final = "{START}"
STOP: Final = "{STOP}"
EXTRA: Final = "{EXTRA}"  # stands for "not an action or stop word" in the hybrid representation
ACTION_WORDS: Final = (MASK, UNK, START, STOP, EXTRA)
MASK_ID, UNK_ID, START_ID, STOP_ID, EXTRA_ID = range(len(ACTION_WORDS))

# Punctuation that counts as stop words beside NLTK's English list.
PUNCTUATION: Final = tuple(["-", ".", ",", ":", ";", "'", '"', "&", "$", "%", "(", ")", "!", "?", "#"])

# Signatures of the served model and the names of their inputs and outputs.
SERVING_SIGNATURE: Final = "serving_default"
BEAM_SIGNATURE: Final = "beam"
SAMPLE_SIGNATURE: Final = "sample"
GREEDY_SIGNATURE: Final = "greedy"
FEATURES_SIGNATURE: Final = "features"
GREEDY_FEATURES_SIGNATURE: Final = "greedy_features"
SCORE_SIGNATURE: Final = "score"
ATTENTION_SIGNATURE: Final = "attention"  # only of decoders that attend to regions
ATTENTION_FEATURES_SIGNATURE: Final = "attention_features"  # likewise
EVAL_SIGNATURE: Final = "eval_examples"  # featurized Examples
EVAL_IMAGES_SIGNATURE: Final = "eval_images"  # raw Examples
IMAGE_BYTES_INPUT: Final = "image_bytes"
FEATURES_INPUT: Final = "features"  # as IMAGE_FEATURES
CAPTION_INPUT: Final = "caption"
# Options of a request, each with one value an image: UNSET stands for the model's own, except of a seed.
BEAM_WIDTH_INPUT: Final = "beam_width"
CAPTIONS_INPUT: Final = "captions"
MIN_TOKENS_INPUT: Final = "min_tokens"
MAX_TOKENS_INPUT: Final = "max_tokens"
LENGTH_PENALTY_INPUT: Final = "length_penalty"
TEMPERATURE_INPUT: Final = "temperature"
TOP_K_INPUT: Final = "top_k"
TOP_P_INPUT: Final = "top_p"
SEED_INPUT: Final = "seed"  # any number
UNSET: Final = -1
OPTION_DTYPES: Final = {
    BEAM_WIDTH_INPUT: "int32",
    CAPTIONS_INPUT: "int32",
    MIN_TOKENS_INPUT: "int32",
    MAX_TOKENS_INPUT: "int32",
    LENGTH_PENALTY_INPUT: "float32",
    TEMPERATURE_INPUT: "float32",
    TOP_K_INPUT: "int32",
    TOP_P_INPUT: "float32",
    SEED_INPUT: "int64",
}
# All of these are required inputs of BEAM_SIGNATURE and SAMPLE_SIGNATURE.
BEAM_OPTIONS: Final = (
    BEAM_WIDTH_INPUT,
    CAPTIONS_INPUT,
    MIN_TOKENS_INPUT,
    MAX_TOKENS_INPUT,
    LENGTH_PENALTY_INPUT,
)
SAMPLE_OPTIONS: Final = (
    CAPTIONS_INPUT,
    MIN_TOKENS_INPUT,
    MAX_TOKENS_INPUT,
    TEMPERATURE_INPUT,
    TOP_K_INPUT,
    TOP_P_INPUT,
    SEED_INPUT,
)
CAPTION_OUTPUT: Final = "caption"
LOG_PROB_OUTPUT: Final = "log_prob"
STATUS_OUTPUT: Final = "status"  # "ok" or why this image could not be captioned
STATUS_OK: Final = "ok"
STATUS_NOT_AN_IMAGE: Final = "not an image that can be decoded"
STATUS_TOO_LARGE: Final = "an image of more than 100 million pixels"
TOKENS_OUTPUT: Final = "tokens"  # words of a caption and STOP, then ""
TOKEN_LOG_PROBS_OUTPUT: Final = "token_log_probs"
ATTENTION_OUTPUT: Final = "attention"
# Of EVAL_SIGNATURE, sums over all tokens of an image's captions.
TOKEN_NLL_OUTPUT: Final = "token_nll"  # nats
TOKEN_CORRECT_OUTPUT: Final = "token_correct"
TOKEN_COUNT_OUTPUT: Final = "token_count"

# Of a served model's SavedModel: the words, one a line.
VOCABULARY_FILE: Final = "assets/vocabulary"

MODEL_NAME: Final = "captioner"
