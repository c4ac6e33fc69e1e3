// The built book and the browser that looks at it. What is missing is an error, never a skip.

import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { createServer } from "node:http";
import { delimiter, extname, join, relative, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { watch } from "./detectors.mjs";

export const BUILD = fileURLToPath(new URL("../../_build/html", import.meta.url));

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const TYPES = {
    ".css": "text/css", ".html": "text/html; charset=utf-8", ".js": "text/javascript",
    ".json": "application/json", ".png": "image/png", ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
};

export function findBrowser(env = process.env) {
    if (env.CHROMIUM) {
        if (existsSync(env.CHROMIUM)) return env.CHROMIUM;
        throw new Error(`CHROMIUM is set to ${env.CHROMIUM}, which does not exist.`);
    }
    const onPath = (env.PATH ?? "").split(delimiter).flatMap(
        folder => NAMES.map(name => join(folder, name)));
    const found = ["/usr/bin/chromium", ...onPath].find(path => existsSync(path));
    if (found) return found;
    throw new Error("No browser: install Chromium, or set CHROMIUM to the path of one.");
}

// Playwright gives every launch a user-data-dir of its own.
export const launch = () => chromium.launch({ executablePath: findBrowser(), args: FLAGS });

// Every HTML file under `root`: the pages, and the redirects (file -> target) that hold no text.
export async function listPages(root) {
    if (!existsSync(root)) throw new Error(`No built book in ${root}: run "make book" first.`);
    const files = (await readdir(root, { recursive: true }))
        .filter(name => name.endsWith(".html"))
        .filter(name => !name.split(sep).includes("_static")).sort();
    const redirects = new Map();
    for (const file of files) {
        const refresh = /http-equiv="refresh" content="0; url=([^"]+)"/i;
        const match = refresh.exec(readFileSync(join(root, file), "utf8"));
        if (match) redirects.set(file, match[1]);
    }
    const pages = files.filter(file => !redirects.has(file));
    if (pages.length === 0) throw new Error(`No page in ${root}: run "make book" again.`);
    return { pages, redirects };
}

// A server on a free port of this machine; it knows files under `root` and nothing else.
export async function serve(root) {
    const server = createServer((request, response) => {
        const path = join(root, decodeURIComponent(new URL(request.url, "http://h").pathname));
        const inside = !relative(root, path).startsWith("..");
        if (inside && existsSync(path) && statSync(path).isFile()) {
            response.setHeader("Content-Type", TYPES[extname(path)] ?? "application/octet-stream");
            createReadStream(path).pipe(response);
        } else {
            response.writeHead(404).end();
        }
    });
    await new Promise(done => server.listen(0, "127.0.0.1", done));
    return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

// The pages of the book, and a browser that visits them from the disk or from a server.
export async function openBook() {
    const { pages, redirects } = await listPages(BUILD);
    const browser = await launch();
    const server = await serve(BUILD);
    const address = (file, scheme) => scheme === "http"
        ? server.url + file.split(/[\\/]/).map(encodeURIComponent).join("/")
        : pathToFileURL(join(BUILD, file)).href;

    // Do `work` on a page of its own: its faults, and what the page asks for and complains about.
    async function visit(file, { scheme = "file", theme, query = "", ...options },
        work = async () => []) {
        const context = await browser.newContext({ reducedMotion: "reduce", ...options });
        if (theme) {
            await context.addInitScript(mode => {
                localStorage.setItem("mode", mode);
                localStorage.setItem("theme", mode);
            }, theme);
        }
        const page = await context.newPage();
        const complaints = await watch(page, server.url);
        // "load" first: half a second without requests may pass before a long page is parsed.
        await page.goto(address(file, scheme) + query, { waitUntil: "load" });
        await page.waitForLoadState("networkidle");
        const found = await work(page);
        await context.close();
        // Without JavaScript a script that was loaded ahead counts as a failed request.
        const faults = options.javaScriptEnabled === false ? found : [...complaints, ...found];
        return faults.map(fault => `${file}: ${fault}`);
    }
    const close = () => Promise.all([browser.close(), server.close()]);
    return { pages, redirects, visit, close };
}

// Run `work` on every item, three at a time; the results keep the order of the items.
export async function inParallel(items, work, lanes = 3) {
    const results = new Array(items.length);
    const queue = items.entries(); // shared: each lane takes the next item that is left
    const lane = async () => {
        for (const [index, item] of queue) results[index] = await work(item);
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    return results;
}
