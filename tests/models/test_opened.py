"""Which models stay in memory."""

import gc
import weakref

import amt


def test_the_last_four_folders_stay_open(make_generator, tmp_path):
    saved = make_generator(96).checkpoint
    parts = (saved.model, saved.tokenizer_config, saved.text_spec, saved.generation_config)
    opened = []
    for number in range(5):
        amt.save_checkpoint(tmp_path / str(number), *parts)
        opened.append(weakref.ref(amt.load(tmp_path / str(number))))
    gc.collect()
    assert [model() is not None for model in opened] == [False, True, True, True, True]
    assert amt.load(tmp_path / "1") is opened[1]()
