"""Words of a caption as coco-caption counts them: Penn Treebank tokens, lower case, punctuation removed.

Published caption scores are computed on the output of Stanford's PTBTokenizer 3.4.1 with `-lowerCase` and
coco-caption's punctuation list. This is its behaviour on captions in plain Python, without Java, down to the
habits that look odd: brackets stay as `-lrb-`, single marks go but `!!` and `??` stay, `cannot` is two words,
`st.` keeps its period and `dog.` loses it.
"""

import functools
import html
import re
import unicodedata
from typing import Final

# Abbreviations that keep their period anywhere, in either case.
_ABBREVIATIONS: Final = (
    "jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|mon|tue|tues|wed|thu|thurs|fri"
    "|mr|mrs|ms|drs?|prof|sen|rep|atty|lt|col|gen|gov|adm|rev|maj|sgt|cpl|pvt|capt|ste?|ave|pres|lieut|hon"
    "|brig|cmdr|comdr|pfc|spc|supt|det|mt|ft|adj|adv|asst|assoc|ens|insp|mlle|mme|msgr|sfc|messrs"
    "|inc|cos?|corp|ltd|plc|rt|bancorp|dept|bhd|assn|univ|intl|sys|jr|sr|bros|blvd|rd|esq|ph"
    "|ala|ariz|calif|colo|conn|ct|dak|fla|ga|ind|kans?|ky|md|mich|minn|mo|mont|neb|nev|okla|penn|tenn|va|vt"
    "|wisc?|wyo|etc|al|seq|vs|bldg|est|sq|tel|ext|invt|elec|natl|mfg|mtg"
)
# These are words, too: they keep it only when capitalised ("Mass.", "Ill.").
_CAPITAL_ABBREVIATIONS: Final = "Miss|Az|Ark|Del|Ill|La|Mass|Ore|Pa|Tex|Wash"
# And these only before a number ("no. 5").
_NUMBER_ABBREVIATIONS: Final = "nos?|figs?|prop|ca|art|pp|op"

_WORD: Final = r"[^\W_]+"
_LETTER: Final = r"[^\W\d_]"
_TOKEN: Final = re.compile(
    rf"""
      https?://\S+ | www\.\S+                                    # addresses
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)+ | </?[a-z][^<>\s]*>           # mail, tags
    | (?<!\w)[@#]{_LETTER}\w*                                    # @name, #topic
    | (?-i:[A-Z]+(?:&[A-Z]+)+)                                   # AT&T
    | (?<![^\W_])(?:(?:{_LETTER}\.)+ | ph\.d\. | (?:{_ABBREVIATIONS})\.
        | (?-i:{_CAPITAL_ABBREVIATIONS})\.)(?![^\W_])  # u.s., st., Mass.
    | (?<!\w)(?:{_NUMBER_ABBREVIATIONS})\.(?=\s*\d)    # no. 5
    | (?<!\S)[-+](?:\d+(?:[.,]\d+)*) | (?<!\w)\.\d+              # -5, .5
    | \d+(?:[.,:]\d+)+                                           # 1,000.50, 5:55
    | -[lr][csr]b-                                               # a bracket already tokenised
    | '\d\ds? | 'n' | '(?:s|m|d|re|ve|ll|em|til|cause|n|tis|twas)(?!\w)
    | {_WORD}(?:(?:[-_./]|(?<={_LETTER})'(?={_LETTER})){_WORD})*  # dog, close-up, and/or, o'clock
    | [!?]+ | \*+ | _+                                           # runs stay together
    | [^\w\s\x00-\x1f\x7f]                                       # any other mark
    """,
    re.VERBOSE | re.IGNORECASE,
)
_CONTRACTION: Final = re.compile(r"(.+?)((?:n't|'(?:s|m|d|re|ve|ll))+)")
_SUFFIX: Final = re.compile(r"n't|'(?:s|m|d|re|ve|ll)")
_TWO_WORDS: Final = {
    "cannot": ("can", "not"),
    "gonna": ("gon", "na"),
    "gotta": ("got", "ta"),
    "wanna": ("wan", "na"),
    "lemme": ("lem", "me"),
    "gimme": ("gim", "me"),
    "y'all": ("y'", "all"),
    "'tis": ("'t", "is"),
    "'twas": ("'t", "was"),
}
_BRACKETS: Final = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
# coco-caption's list, by single marks: its `''`, `--` and `...` are runs of them.
_DROPPED: Final = frozenset("'\"`.?!,:-;")
_UNICODE: Final = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201b", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2013\u2014\u2015", " -- "),
        **dict.fromkeys("\u00ad\u200b\u200c\u200d\ufeff", None),  # soft hyphen, zero-width marks
        "…": " ... ",
        "€": "$",
        "£": "#",
        "¢": " cents ",
        "½": "1/2",
        "¼": "1/4",
        "¾": "3/4",
    }
)
_PICTOGRAPH: Final = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f]")


@functools.lru_cache(maxsize=4096)
def tokenize(text: str) -> tuple[str, ...]:
    """Returns the lower-case words of one caption, without punctuation.

    Any string is accepted; an empty one, or one of marks only, has no words. Recent results are kept, because
    several metrics and two models ask for the same references one after the other.
    """
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        text = _PICTOGRAPH.sub(" ", unicodedata.normalize("NFC", text).translate(_UNICODE))
    words: list[str] = []
    for token in _TOKEN.findall(text):
        word = token.lower()
        if word in _DROPPED:
            continue
        if word in _TWO_WORDS:
            words.extend(_TWO_WORDS[word])
        elif "'" in word and (match := _CONTRACTION.fullmatch(word)):
            words.append(match[1])
            words.extend(_SUFFIX.findall(match[2]))
        else:
            words.append(_BRACKETS.get(word, word))
    return tuple(words)
