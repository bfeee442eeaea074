import pytest

from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.models import registry
from tune_jobs.search_space.defaults import default_space
from tune_jobs.search_space.space import Parameter, params_of, to_config
from tune_jobs.search_space.space_file import load_space, space_yaml

YAML = """
# Comments and blank lines count as lines.
lr: {low: 1e-5, high: 1.0e-1, log: true}
batch_size:
  low: 16
  high: 64
  step: 16
dropout: {low: 0, high: 0.5}
optimizer: {choices: [adam, sgd]}
momentum: {choices: [0.9, .95], when: {optimizer: sgd}}
model.widths: {choices: [[8, 16], [8]]}
model.kernel_size: {low: 1, high: 5, step: 2, when: {model.widths: [[8]], optimizer: [adam, sgd]}}
"""
SPACE = {
    parameter.name: parameter
    for parameter in [
        Parameter(name="lr", kind="float", low=1e-5, high=1e-1, log=True),
        Parameter(name="batch_size", kind="int", low=16, high=64, step=16),
        Parameter(name="dropout", kind="float", low=0.0, high=0.5),
        Parameter(name="optimizer", kind="categorical", choices=("adam", "sgd")),
        Parameter(
            name="momentum", kind="categorical", choices=(0.9, 0.95), when={"optimizer": ("sgd",)}
        ),
        Parameter(name="model.widths", kind="categorical", choices=([8, 16], [8])),
        Parameter(
            name="model.kernel_size", kind="int", low=1, high=5, step=2,
            when={"model.widths": ([8],), "optimizer": ("adam", "sgd")},
        ),
    ]
}  # fmt: skip


@pytest.fixture
def written(tmp_path):
    """Write a file; returns its path."""

    def write(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("name", "text"),
    [("s.yaml", YAML), ("s.yml", YAML), ("S.YAML", YAML.replace("\n", "\r\n"))],
)
def test_a_file_is_read_as_the_space_it_describes(name, text, written):
    space = load_space(written(name, text))
    assert space == SPACE
    assert list(space) == list(SPACE)
    assert all(type(p.low) is float for p in space.values() if p.kind == "float")


@pytest.mark.parametrize("space", [default_space(), SPACE], ids=["default", "every kind"])
def test_the_printed_space_is_read_back(space, written):
    again = load_space(written("s.yaml", space_yaml(space)))
    assert again == space
    assert list(again) == list(space)


def test_augmentation_can_be_searched(written):
    text = """
augment: {choices: [none, flip_crop, photo, strong]}
horizontal_flip: {choices: [true, false]}
vertical_flip: {choices: [true, false]}
rotation: {low: 0, high: 30}
mixup: {choices: [0.0, 0.2]}
cutmix: {low: 0.1, high: 1, log: true}
"""
    space = load_space(written("space.yaml", text), "cnn")
    settings = {"augment": "photo", "horizontal_flip": False, "rotation": 15.0, "mixup": 0.2}
    config = to_config(settings, TrialConfig(lr=0.1))
    assert params_of(config, space) == settings | {"vertical_flip": False}


def test_the_printed_space_has_a_parameter_a_line():
    lines = [line for line in space_yaml(default_space()).splitlines() if line[0] != "#"]
    assert lines[0] == "lr: {low: 0.0001, high: 0.1, log: true}"
    assert lines[3] == "momentum: {low: 0.8, high: 0.99, when: {optimizer: [sgd]}}"
    assert len(lines) == len(default_space())


@pytest.fixture
def other_model(monkeypatch):
    def build(num_classes, image_size, depth, weights=None, pretrained=True):
        raise NotImplementedError

    monkeypatch.setitem(registry.BUILDERS, "other", build)


def test_arguments_without_a_typed_default_take_what_the_file_says(written, other_model):
    text = (
        "model.depth: {low: 1, high: 3}\n"
        "model.weights: {choices: [null, best, [1, 2.5]]}\n"
        "model.pretrained: {choices: [true, false]}"
    )
    space = load_space(written("s.yaml", text), "other")
    assert space["model.depth"].kind == "int"
    assert space["model.weights"].choices == (None, "best", [1, 2.5])
    assert space["model.pretrained"].choices == (True, False)


RANGE = "{low: 1, high: 2}"


@pytest.mark.parametrize(
    ("line", "entry", "words"),
    [
        # names
        (2, "learning_rate: {low: 0.1, high: 1}", ["learning_rate", "lr, batch_size"]),
        (2, f"batchsize: {RANGE}", ["batchsize", "did you mean batch_size?"]),
        (2, f"kernel_size: {RANGE}", ["kernel_size", "did you mean model.kernel_size?"]),
        (2, f"model.depth: {RANGE}", ["model.depth", "cnn", "model.widths, model.kernel_size"]),
        (2, f"model.num_classes: {RANGE}", ["model.num_classes"]),
        (2, f"model.image_size: {RANGE}", ["model.image_size"]),
        (2, "model.dropout: {low: 0.1, high: 0.2}", ["did you mean dropout?"]),
        (2, f"epochs: {RANGE}", ["epochs", "same for every trial", "option"]),
        (2, f"seed: {RANGE}", ["seed", "same for every trial"]),
        (2, "split: {choices: [[0.6, 0.2, 0.2]]}", ["split", "same for every trial"]),
        (4, f"lr: {RANGE}\n\nlr: {RANGE}", ["duplicate key \"lr\"", "correct it"]),
        (2, "lr: {low: 0.1, low: 0.2, high: 0.3}", ["duplicate key \"low\"", "correct it"]),
        (2, "[lr]: 3", ["('lr',) is not a parameter"]),
        # shapes
        (2, "lr: 0.1", ["lr is 0.1", "choices"]),
        (2, "lr:", ["lr", "choices"]),
        (2, "lr: [0.1, 0.2]", ["[0.1, 0.2]", "choices"]),
        (2, "lr: {min: 0.1, max: 1}", ["lr has key min", "low, high"]),
        (2, "lr: {}", ["lr has no low"]),
        (2, "lr: {low: 0.1}", ["lr has no high"]),
        (2, "lr: {low: 0.1, choices: [0.1]}", ["both choices and low"]),
        (2, "lr: {log: true, choices: [0.1]}", ["both choices and log"]),
        # ranges
        (4, "dropout: {low: 0, high: .1}\n\nlr: {low: 0.1, high: 0.01}",
         ["lr has low 0.1 and high 0.01", "low must be below high"]),
        (2, "lr: {low: 0.1, high: 0.1}", ["below high"]),
        (2, "lr: {low: 0, high: 0.1}", ["learning rate 0.0", "above 0"]),
        (2, "dropout: {low: 0, high: 1}", ["dropout is 1.0", "below 1"]),
        (2, "batch_size: {low: 0, high: 64}", ["batch_size is 0", "1 or more"]),
        (2, "batch_size: {low: 1.5, high: 64}", ["1.5", "whole number", "64"]),
        (2, "batch_size: {low: 1, high: true}", ["True", "whole number"]),
        (2, "lr: {low: .nan, high: 0.1}", ["nan", "finite"]),
        (2, "lr: {low: 0.1, high: .inf}", ["inf", "finite"]),
        (2, "weight_decay: {low: 0.1, high: .inf}", ["inf", "finite"]),
        (2, "lr: {low: '1e-5', high: 0.1}", ["'1e-5'", "finite number"]),
        (2, "lr: {low: small, high: 0.1}", ["'small'", "finite number"]),
        (2, "optimizer: {low: 1, high: 2}", ["optimizer", "give choices"]),
        (2, "model.widths: {low: 1, high: 2}", ["model.widths", "give choices"]),
        (2, "dropout: {low: 0, high: 0.1, log: true}", ["dropout has log and low 0.0", "above 0"]),
        (2, "lr: {low: 0.1, high: 0.2, log: 1}", ["log 1", "true or false"]),
        (2, "lr: {low: 0.1, high: 0.2, log: true, step: 0.1}", ["log and step 0.1"]),
        (2, "lr: {low: 0.1, high: 0.2, step: 0}", ["step 0", "above 0"]),
        (2, "lr: {low: 0.1, high: 0.2, step: -0.1}", ["step -0.1", "above 0"]),
        (2, "lr: {low: 0.1, high: 0.5, step: 0.3}", ["step 0.3", "try high 0.4"]),
        (2, "lr: {low: 0.1, high: 0.5, step: 1}", ["step 1", "smaller"]),
        (2, "batch_size: {low: 1, high: 2, step: 0.5}", ["step of batch_size", "whole number"]),
        # choices
        (2, "lr: {choices: []}", ["choices []", "one or more"]),
        (2, "lr: {choices: 0.1}", ["choices 0.1", "list"]),
        (2, "lr: {choices: [0.1, 1e-1]}", ["0.1 twice"]),
        (2, "model.widths: {choices: [[8], [8]]}", ["[8] twice"]),
        (2, "lr: {choices: [0.1, 0]}", ["learning rate 0.0", "above 0"]),
        (2, "batch_size: {choices: [32, 0]}", ["batch_size is 0", "1 or more"]),
        (2, "optimizer: {choices: [adm]}", ["'adm'", "adam, adamw, sgd"]),
        (2, "optimizer: {choices: [1]}", ["optimizer is 1", "text", "adam"]),
        (2, "augment: {choices: [no]}", ["augment is False", "text"]),
        (2, "momentum: {choices: [0]}", ["momentum is 0", "Nesterov"]),
        (2, "dropout: {choices: [null]}", ["dropout is None", "finite number"]),
        (2, "model.kernel_size: {choices: [2020-13-45]}", ["'2020-13-45'", "whole number"]),
        (2, "model.kernel_size: {choices: [big]}", ["'big'", "whole number"]),
        (2, "model.widths: {choices: [8]}", ["model.widths is 8", "list"]),
        (2, "model.widths: {choices: [[8, big]]}", ["'big'", "whole number"]),
        # conditions
        (2, "lr: {low: 0.1, high: 1, when: sgd}", ["when 'sgd'", "{optimizer: [sgd]}"]),
        (2, "lr: {low: 0.1, high: 1, when: {optimiser: sgd}}", ["optimiser", "above it"]),
        (2, "lr: {low: 0.1, high: 1, when: {lr: 0.1}}", ["lr", "above it"]),
        (2, "lr: {low: 0.1, high: 1, when: {optimizer: sgd}}\noptimizer: {choices: [sgd]}",
         ["optimizer", "above it"]),
        (3, "optimizer: {choices: [adam]}\nlr: {low: 0.1, high: 1, when: {optimizer: [sgd]}}",
         ["lr depends on optimizer being 'sgd'", "its values, adam"]),
        (3, "optimizer: {choices: [adam]}\nlr: {low: 0.1, high: 1, when: {optimizer: []}}",
         ["optimizer being one of []"]),
        (3, "batch_size: {low: 8, high: 16}\nlr: {low: 0.1, high: 1, when: {batch_size: 32}}",
         ["batch_size being 32", "8 to 16"]),
        (3, "dropout: {low: 0, high: 0.5}\nlr: {low: 0.1, high: 1, when: {dropout: 0}}",
         ["dropout", "whole numbers"]),
        # what no person means
        (2, "lr: &lr {low: *lr, high: 1}", ["*lr", "write out"]),
        (2, "lr: " + "[" * 5_000 + "]" * 5_000, ["nested", "8 deep"]),
        (2, "lr: " + "{a: " * 5_000 + "}" * 5_000, ["nested", "8 deep"]),
        (2, f"lr: {{choices: [{', '.join(map(str, range(1, 2_000)))}]}}", ["1,999 choices"]),
        (2, "batch_size: {low: 1, high: 1" + "0" * 3_000 + "}", ["bits", "2**53"]),
        (2, "lr: 0x" + "f" * 9_000, ["lr cannot be read", "digits"]),
        (2, "lr: {low: 0.1, high: 1.0, step: 1.0e-300}", ["step 1e-300", "1,000,000"]),
        (2, "lr: {low: 0.1, high: 0.2, step: 0.0}", ["step 0.0", "above 0"]),
        (2, "lr: !!python/object/apply:os.abort []", ["leave out the tag", "os.abort"]),
        (2, "lr: {low: !!python/name:os.abort x, high: 1}", ["leave out the tag"]),
        # syntax
        (2, "lr: {low: 0.1, high: 1]", ["not YAML", "correct it"]),
        (3, "lr:\n\tlow: 1", ["not YAML"]),
        (2, "lr: *anchor", ["not YAML", "anchor"]),
        (2, "lr: \a", ["not YAML", "character"]),
        (3, "---\n---\n", ["not YAML"]),
        (2, "- lr", ["by name", "lr: {low"]),
    ],
)  # fmt: skip
def test_an_error_names_the_line(line, entry, words, written):
    path = written("space.yaml", f"# a comment\n{entry}\n")
    with pytest.raises(InputError) as caught:
        load_space(path)
    message = str(caught.value)
    assert message.startswith(f"{path} line {line}: ")
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("s.yaml", "", ["empty", "one parameter"]),
        ("s.yaml", "# nothing\n", ["empty"]),
        ("s.yaml", "{}", ["empty"]),
        ("s.yaml", "model.kernel_size: {choices: [0x_]}", ["not YAML", "correct it"]),
        ("s.json", "{}", [".yaml or .yml"]),
        ("s", "lr: 1", [".yaml or .yml"]),
        ("s.yaml", "lr: {choices: [" + "0.1, " * 99_999 + "]}", ["bytes", "fewer choices"]),
        ("s.yaml", "batch_size: {low: 1, high: 1" + "0" * 9_000 + "}", ["not YAML", "digits"]),
    ],
)
def test_an_error_in_the_whole_file_names_it(name, text, words, written):
    with pytest.raises(InputError) as caught:
        load_space(written(name, text))
    for word in [name, *words]:
        assert word in str(caught.value)


def test_a_file_that_cannot_be_read_is_bad_input(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml.*check its name"):
        load_space(tmp_path / "none.yaml")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(InputError, match=r"folder\.yaml"):
        load_space(tmp_path / "folder.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"lr: {low: 1, high: 2} # \xe9")
    with pytest.raises(InputError, match="UTF-8"):
        load_space(tmp_path / "latin.yaml")


def test_a_model_that_has_no_dropout_is_not_searched_for_it(written, other_model):
    with pytest.raises(InputError, match="line 1: the model other has no dropout"):
        load_space(written("s.yaml", "dropout: {low: 0, high: 0.5}"), "other")
