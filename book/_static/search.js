// The search page. Its entries are places of the book, written by _ext/search_index.py; MiniSearch
// ranks them. A title counts most, and then words that are rare in the book; a word may be the
// beginning of a longer one, or misspelt a little. A hit leads to its place, and carries the words
// that were found, which book.js marks there.
(() => {
    const STOPWORDS = new Set(("a an and are as at be by do does for from has in is it its not of "
        + "on or that the this to what which why with").split(" "));
    const SHOWN = 30, AROUND = 110; // hits in the list, characters on each side of a found word
    const isNumber = word => /^\d/.test(word);
    const index = new MiniSearch({
        fields: ["title", "text", "code"],
        tokenize: text => text.match(/\d+(?:\.\d+)*|[\p{L}\p{M}]+/gu) ?? [], // 2.1 is one word
        processTerm: word => STOPWORDS.has(word.toLowerCase()) ? null : word.toLowerCase(),
        searchOptions: {
            boost: { title: 5, code: 0.3 },
            prefix: word => word.length > 2 && !isNumber(word),
            fuzzy: word => word.length > 4 && !isNumber(word) ? 0.2 : false,
            weights: { prefix: 0.5, fuzzy: 0.2 },
        },
    });
    index.addAll(ENTRIES.map((entry, id) => ({ id, ...entry })));

    // Places with all the words; if there is none, places with some of them. Those whose title
    // begins with the query come first: "Theorem 2.1" is one place, and many others speak of it.
    function find(query) {
        const hits = [{ combineWith: "AND" }, { combineWith: "OR" }]
            .map(how => index.search(query, how)).find(hits => hits.length) ?? [];
        const named = ({ id }) => ENTRIES[id].title.toLowerCase().startsWith(query.toLowerCase());
        return [...hits.filter(named), ...hits.filter(hit => !named(hit))];
    }

    const element = (name, properties, ...children) => {
        const made = Object.assign(document.createElement(name), properties);
        made.append(...children);
        return made;
    };

    // A text as nodes: what was found, which is every second piece, in a `mark`.
    const mark = (text, found) => text.split(found).map(
        (piece, i) => i % 2 ? element("mark", { textContent: piece }) : piece);

    // The text around the first word found; of an entry where only its code has the words, that.
    function excerpt({ text, code }, found) {
        const source = text.search(found) < 0 && code.search(found) >= 0 ? code : text;
        const start = Math.max(0, source.search(found) - AROUND), end = start + 2 * AROUND;
        return [start ? "… " : "", ...mark(source.slice(start, end), found),
            end < source.length ? " …" : ""];
    }

    function item({ id, terms }) {
        const { title, page, address, anchor } = ENTRIES[id];
        const found = wholeWords(terms), marked = new URLSearchParams({ marked: terms.join(" ") });
        const link = element("a", { href: `${address}?${marked}#${anchor}` }, ...mark(title, found));
        const where = element("span", { textContent: title === page ? "" : page });
        return element("li", {}, link, where, element("p", {}, ...excerpt(ENTRIES[id], found)));
    }

    const field = document.querySelector(".bd-search-container input");
    function show() {
        const query = field.value.trim();
        const hits = find(query);
        const count = hits.length === 1 ? "1 place" : `${hits.length || "No"} places`;
        const first = hits.length > SHOWN ? `, the first ${SHOWN} of them below` : "";
        document.getElementById("search-count").textContent = query ? count + first : "";
        document.getElementById("search-results").replaceChildren(...hits.slice(0, SHOWN).map(item));
    }
    field.value = new URLSearchParams(location.search).get("q") ?? "";
    field.addEventListener("input", show);
    field.focus();
    show();
})();
