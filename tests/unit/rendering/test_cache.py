import threading

import pytest

from campaigns.domain.liquid import Escaping, TemplateInvalid, render_liquid
from campaigns.rendering.cache import TemplateCache


def test_a_version_is_parsed_once():
    cache = TemplateCache()
    first = cache.get(1, "html", "a{{ x }}", Escaping.HTML)
    assert cache.get(1, "html", "a{{ x }}", Escaping.HTML) is first
    assert cache.get(1, "text", "a{{ x }}", Escaping.TEXT) is not first


def test_a_draft_is_never_kept():
    cache = TemplateCache()
    cache.get(None, "html", "a", Escaping.HTML)
    assert len(cache) == 0


def test_an_id_used_again_for_another_source_is_parsed_again():
    cache = TemplateCache()
    cache.get(1, "html", "old", Escaping.HTML)
    assert render_liquid(cache.get(1, "html", "new", Escaping.HTML), {}) == "new"


def test_what_was_used_longest_ago_goes_first():
    cache = TemplateCache(size=2)
    one = cache.get(1, "html", "1", Escaping.HTML)
    cache.get(2, "html", "2", Escaping.HTML)
    cache.get(1, "html", "1", Escaping.HTML)
    cache.get(3, "html", "3", Escaping.HTML)
    assert len(cache) == 2
    assert cache.get(1, "html", "1", Escaping.HTML) is one


def test_a_fault_is_not_kept():
    cache = TemplateCache()
    with pytest.raises(TemplateInvalid):
        cache.get(1, "html", "{% if %}", Escaping.HTML)
    assert len(cache) == 0


def test_many_threads_render_their_own_facts():
    cache = TemplateCache(size=3)
    wrong: list[str] = []

    def work(me: int) -> None:
        for turn in range(60):
            source = f"{turn % 5}{{{{ x }}}}"
            compiled = cache.get(turn % 5, "html", source, Escaping.HTML)
            text = render_liquid(compiled, {"x": me})
            if text != f"{turn % 5}{me}":
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(cache) == 3
