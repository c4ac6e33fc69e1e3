// What can be wrong with a page. Each detector returns sentences, one a fault: none is good.

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { join } from "node:path";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const LOCAL = new Set(["file:", "data:", "blob:", "about:"]);

// Record what a page asks for and complains about. Requests to other hosts are stopped.
export async function watch(page, origin) {
    const faults = [];
    const isLocal = url => LOCAL.has(new URL(url).protocol) || url.startsWith(origin);
    await page.route(url => !isLocal(url.href), route => {
        faults.push(`request to another host: ${route.request().url()}`);
        return route.abort();
    });
    page.on("console", message => {
        if (["error", "warning"].includes(message.type())) faults.push(`console: ${message.text()}`);
    });
    page.on("pageerror", error => faults.push(`script error: ${error.message}`));
    page.on("requestfailed", request => faults.push(`request failed: ${request.url()}`));
    page.on("response", response => {
        if (response.status() >= 400) faults.push(`HTTP ${response.status()}: ${response.url()}`);
    });
    return faults;
}

// All that the tests want to know of a page as it stands, to be asked with JavaScript off.
export const survey = page => page.evaluate(() => {
    const all = selector => [...document.querySelectorAll(selector)];
    const text = document.body.cloneNode(true);
    for (const part of text.querySelectorAll("pre, code, script, style, noscript, .katex")) {
        part.remove();
    }
    return {
        ids: all("[id]").map(element => element.id),
        links: all("[href]").map(element => element.getAttribute("href")),
        sources: all("[src]").map(element => element.getAttribute("src")),
        fetched: all("link[href]").map(element => element.getAttribute("href")),
        text: text.textContent,
        formulas: all(".katex-html").length,
        badFormulas: all(".katex-error").map(element => element.textContent),
        mathWithoutFormula: all(".math").filter(box => !box.querySelector(".katex-html")).length,
        images: all("article img").map(image => ({
            source: image.getAttribute("src"),
            alt: image.getAttribute("alt") ?? "",
            caption: image.closest("figure")?.querySelector("figcaption")?.textContent ?? "",
        })),
    };
});

const RAW_TEX = [/\\[([]/, /\$\$/, /\\begin\{/, /\\[a-z]+\{/, /\$[^\s$][^$\n]*\$/];

export function mathematics(found) {
    const faults = found.badFormulas.map(tex => `formula that KaTeX refuses: ${tex}`);
    if (found.mathWithoutFormula) faults.push(`${found.mathWithoutFormula} formulas not typeset`);
    for (const pattern of RAW_TEX) {
        const match = pattern.exec(found.text);
        if (match) faults.push(`raw TeX: ${found.text.substr(Math.max(0, match.index - 20), 60)}`);
    }
    return faults;
}

export function images(found) {
    const faults = [];
    for (const { source, alt, caption } of found.images) {
        if (!alt.trim()) faults.push(`image without alt text: ${source}`);
        if (!caption.trim()) faults.push(`image without caption: ${source}`);
    }
    return faults;
}

// Links of all pages at once, since fragments lead from one to another. `surveys`: file -> survey.
export function links(root, surveys, redirects = new Map()) {
    const faults = [];
    let count = 0;
    const ids = new Map();
    for (const [file, found] of surveys) ids.set(pathToFileURL(join(root, file)).href, found.ids);
    const follow = (file, reference, loaded) => {
        const url = new URL(reference, pathToFileURL(join(root, file)));
        if (url.protocol !== "file:") {
            if (loaded && !LOCAL.has(url.protocol)) faults.push(`${file}: loads ${reference}`);
            return;
        }
        count += 1;
        const fragment = decodeURIComponent(url.hash.slice(1));
        url.hash = url.search = "";
        if (!existsSync(fileURLToPath(url))) faults.push(`${file}: no file for ${reference}`);
        else if (fragment && !ids.get(url.href)?.includes(fragment)) {
            faults.push(`${file}: no fragment for ${reference}`);
        }
    };
    for (const [file, found] of surveys) {
        for (const reference of found.links) follow(file, reference, false);
        for (const reference of [...found.sources, ...found.fetched]) follow(file, reference, true);
    }
    for (const [file, target] of redirects) follow(file, target, false);
    return { faults, count };
}

// Files that style sheets name, since a browser fetches a font only where it is used.
export function styleSheets(root, files) {
    const faults = [];
    let count = 0;
    for (const file of files) {
        const names = readFileSync(join(root, file), "utf8").matchAll(/url\(["']?([^"')]+)["']?\)/g);
        for (const [, name] of names) {
            const url = new URL(name, pathToFileURL(join(root, file)));
            if (["data:", "blob:"].includes(url.protocol)) continue;
            count += 1;
            url.hash = url.search = "";
            if (url.protocol !== "file:") faults.push(`${file}: loads ${name}`);
            else if (!existsSync(fileURLToPath(url))) faults.push(`${file}: no file for ${name}`);
        }
    }
    return { faults, count };
}

export async function overflow(page) {
    const [content, window] = await page.evaluate(
        () => [document.documentElement.scrollWidth, innerWidth]);
    return content > window ? [`${content} px of content in a window of ${window} px`] : [];
}

// Everything that axe-core knows, on the page with all folded parts open.
export async function accessibility(page) {
    await page.evaluate(() => {
        for (const button of document.querySelectorAll(".toggle-button-hidden")) button.click();
        for (const details of document.querySelectorAll("details")) details.open = true;
    });
    if (!await page.evaluate(() => "axe" in window)) await page.addScriptTag({ path: AXE });
    // Details of what passes are not collected: that takes a third of the time.
    const { violations, passes } = await page.evaluate(async () => {
        const found = await window.axe.run({ resultTypes: ["violations"] });
        return { violations: found.violations, passes: found.passes.length };
    });
    const faults = violations.flatMap(({ id, nodes }) => nodes.map(
        ({ target, failureSummary }) => `axe ${id} at ${target.join(" ")}: ${failureSummary}`));
    return { faults, count: passes + violations.length };
}
