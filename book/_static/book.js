// Formulas stand in the page without any script. This one keeps wide ones inside their box:
// a long formula in a sentence gets a scroll bar of its own, and what scrolls can be reached
// with the keyboard. It runs again when the width of the window changes.
//
// A page opened as a file may not fetch its neighbours: there the search lists titles only, where
// it would otherwise fail to load an excerpt of every result. Over http an excerpt would show each
// formula three times, as MathML, as TeX and as drawn: the first is kept.
(() => {
    if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
    addEventListener("DOMContentLoaded", () => {
        if (typeof Search === "undefined") return;
        const textOf = Search.htmlToText;
        Search.htmlToText = (html, anchor) => {
            const page = new DOMParser().parseFromString(html, "text/html");
            for (const copy of page.querySelectorAll(".katex-html, annotation")) copy.remove();
            return textOf(page.documentElement.outerHTML, anchor);
        };
    });

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
})();
