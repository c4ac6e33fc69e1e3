// What a page gains from a script; all of its text is there without.

// A pattern that finds these whole words, in upper or lower case.
const wholeWords = words => {
    const plain = words.filter(word => /^[\p{L}\p{M}\p{N}.]+$/u.test(word));
    const any = plain.map(word => word.replaceAll(".", "\\.")).join("|") || "(?!)";
    return new RegExp(`(?<![\\p{L}\\p{N}])(${any})(?![\\p{L}\\p{N}])`, "giu");
};

// Formulas: a long one in a sentence gets a scroll bar of its own, and what scrolls can be reached
// with the keyboard. Again when the width of the window changes.
(() => {
    const fit = () => {
        for (const math of document.querySelectorAll("span.math")) {
            math.classList.remove("wide");
            const room = math.parentElement.getBoundingClientRect().right;
            const parts = [...math.querySelectorAll(".katex-html > .base")];
            math.classList.toggle("wide",
                parts.some(part => part.getBoundingClientRect().right > room + 1));
        }
        for (const box of document.querySelectorAll(".katex-display, span.math")) {
            if (box.scrollWidth > box.clientWidth && box.clientWidth > 0) box.tabIndex = 0;
            else box.removeAttribute("tabindex");
        }
    };
    addEventListener("load", fit);
    addEventListener("resize", fit);
    document.fonts.addEventListener("loadingdone", fit);
    addEventListener("toggle", fit, true); // what was folded had no width
})();

// The words that the search found here (search.js puts them into the address) are marked.
addEventListener("DOMContentLoaded", () => {
    const words = new URLSearchParams(location.search).get("marked")?.split(" ");
    const article = document.querySelector("article");
    if (!words || !article || !CSS.highlights) return;
    const texts = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
    const ranges = [];
    while (texts.nextNode()) {
        const text = texts.currentNode;
        if (text.parentElement.closest(".katex, script, style")) continue;
        for (const { index, 0: { length } } of text.data.matchAll(wholeWords(words))) {
            ranges.push(new StaticRange({ startContainer: text, startOffset: index,
                endContainer: text, endOffset: index + length }));
        }
    }
    CSS.highlights.set("searched", new Highlight(...ranges));
});

// One button opens all code that is folded on a page, another all proofs.
addEventListener("DOMContentLoaded", () => {
    const row = Object.assign(document.createElement("p"), { className: "unfold" });
    for (const [kind, selector] of [["code", ".cell details"], ["proofs", "details.sd-dropdown"]]) {
        const folded = [...document.querySelectorAll(selector)];
        if (!folded.length) continue;
        const button = document.createElement("button");
        const name = () => {
            const open = folded.every(details => details.open);
            button.textContent = `${open ? "Fold" : "Show"} all ${kind}`;
            return open;
        };
        button.addEventListener("click", () => {
            const open = !name();
            for (const details of folded) details.open = open;
            name();
        });
        for (const details of folded) details.addEventListener("toggle", name);
        name();
        row.append(button);
    }
    if (row.children.length) document.querySelector("article h1").after(row);
});

// Browsers whose style sheets cannot open what is folded (book.css does, for print) open it here.
if (!CSS.supports("selector(::details-content)")) {
    addEventListener("beforeprint", () => {
        for (const details of document.querySelectorAll("article details")) details.open = true;
    });
}
