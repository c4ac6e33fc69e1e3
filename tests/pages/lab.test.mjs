// The book in JupyterLab, as `make lab` opens it, beside the built pages: `make book` first.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { BUILD, inParallel, launch } from "./site.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PYTHON = join(ROOT, ".venv", "bin", "python");
const KINDS = "Theorem|Proposition|Lemma|Corollary|Observation|Conjecture|Definition|Remark|Example";
const STATED = new RegExp(`^(${KINDS}) [\\d.]+$`);
const REFERENCE = new RegExp(`^((${KINDS}|Exercise|Fig\\.) \\d[\\d.]*|\\(\\d[\\d.]*\\))$`);
const RAW = /\b(clm|fig|eq|ex)-[a-z][\w-]*|\{[\w:-]+\}|:::|\$\$|\\tag|⚠/;

// A folder of its own for copies and for everything that Jupyter would keep in a home.
const home = mkdtempSync(join(tmpdir(), "a lab "));
const copies = join(home, "lab");
const make = async () => (await promisify(execFile)(
    PYTHON, [join("tools", "lab.py"), copies], { cwd: ROOT })).stdout;

const freePort = async () => {
    const probe = createServer().listen(0, "127.0.0.1");
    await once(probe, "listening");
    const { port } = probe.address();
    probe.close();
    return port;
};

// JupyterLab as the Makefile starts it, with the rest of its settings, and the reader's, left out.
async function startLab() {
    const [port, token] = [await freePort(), Math.random().toString(36).slice(2)];
    const places = Object.fromEntries([
        "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR",
        "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR",
    ].map(name => [name, join(home, name)]));
    const server = spawn(PYTHON, [
        "-m", "jupyterlab", "--no-browser", "--allow-root", "--LabApp.expose_app_in_browser=True",
        `--ServerApp.port=${port}`, "--ServerApp.port_retries=0", `--IdentityProvider.token=${token}`,
        join(copies, "index.ipynb"),
    ], { cwd: ROOT, env: { ...process.env, ...places, JUPYTER_CONFIG_PATH: join("tools", "jupyter") } });
    const said = [];
    server.stderr.on("data", text => said.push(text));
    const url = `http://127.0.0.1:${port}/`;
    for (const start = Date.now(); ; await sleep(200)) {
        if (await fetch(`${url}api`).then(answer => answer.ok, () => false)) break;
        if (server.exitCode !== null || Date.now() - start > 120_000) {
            server.kill("SIGKILL");
            throw new Error(`JupyterLab does not start:\n${said.join("")}`);
        }
    }
    const stop = async () => {
        server.kill();
        const gone = once(server, "exit");
        const late = sleep(20_000, "late", { ref: false });
        if (await Promise.race([gone, late]) === "late") server.kill("SIGKILL");
        await gone;
    };
    return { open: file => `${url}lab/tree/${file}?token=${token}&reset`, stop };
}

await make();
const files = (await readdir(copies)).filter(name => name.endsWith(".ipynb")).sort();
const notebooks = new Map(files.map(
    file => [file, JSON.parse(readFileSync(join(copies, file), "utf8"))]));
const [browser, lab] = await Promise.all([launch(), startLab()]);
after(async () => {
    await Promise.all([browser.close(), lab.stop()]);
    rmSync(home, { recursive: true, maxRetries: 5 });
});

// What the built page says, in the terms of `shown` below.
async function builtPage(file) {
    const page = await browser.newPage({ javaScriptEnabled: false });
    await page.goto(pathToFileURL(join(BUILD, "book", file.replace(".ipynb", ".html"))).href);
    const found = await page.evaluate(() => {
        const texts = selector => [...document.querySelectorAll(`article ${selector}`)]
            .map(element => element.textContent.replace("#", "").replaceAll("\u00a0", " ").trim());
        const labels = {};
        for (const title of document.querySelectorAll("article .admonition-title > .caption-number")) {
            labels[title.closest("[id]").id] = title.textContent.trim();
        }
        for (const caption of document.querySelectorAll("article figcaption .caption-number")) {
            labels[caption.closest("figure").id] = caption.textContent.trim();
        }
        for (const number of document.querySelectorAll("article [id^=equation-] .eqno")) {
            const label = number.closest("[id]").id.replace("equation-", "");
            labels[label] = number.firstChild.textContent;
        }
        return {
            labels,
            stated: texts(".proof > .admonition-title > .caption-number"),
            captions: texts("figcaption .caption-number"),
            links: texts("a.reference.internal:not(.ledger-link *)"),
            citations: texts(".bibtex-citation a"),
        };
    });
    await page.close();
    return found;
}

// What JupyterLab shows of the notebook that is open.
const shown = page => page.evaluate(() => {
    const panel = document.querySelector(".jp-NotebookPanel:not(.lm-mod-hidden)");
    const all = selector => [...panel.querySelectorAll(selector)];
    const texts = selector => all(`.jp-RenderedMarkdown ${selector}`)
        .map(element => element.textContent.replaceAll("\u00a0", " ").trim());
    const prose = all(".jp-RenderedMarkdown").map(element => {
        const text = element.cloneNode(true);
        for (const part of text.querySelectorAll("pre, code, mjx-container")) part.remove();
        return text.textContent;
    }).join("\n");
    const visible = element => element.getBoundingClientRect().height > 0;
    const cells = all(".jp-Cell");
    const solutions = cells.filter(cell => cell.querySelector("h4")?.textContent.startsWith("Solution"));
    return {
        cells: cells.length,
        prose,
        stated: texts("blockquote > p:first-child > strong:first-child"),
        captions: texts("p:first-child > strong:first-child")
            .filter(text => text.startsWith("Fig. ")),
        links: texts("a"),
        citations: texts("a[href*='references.ipynb']"),
        images: all(".jp-OutputArea-output img").map(image => image.naturalWidth),
        onLight: all(".jp-OutputArea-output img.jp-needs-light-background").length,
        icons: all(".jp-RenderedMarkdown :is(svg, img):not(mjx-container *)").length,
        badFormulas: all("mjx-merror").length,
        tags: all("mjx-labels").length,
        folded: all(".jp-CodeCell .jp-InputPlaceholder").length,
        openDetails: all("details[open]").length,
        solutions: solutions.length,
        openSolutions: solutions.filter(cell => visible(cells[cells.indexOf(cell) + 1])).length,
        errors: all("[data-mime-type$='jupyter.error'], [data-mime-type$='jupyter.stderr']")
            .map(output => output.textContent),
    };
});

const sources = (file, type) => notebooks.get(file).cells.filter(cell => cell.cell_type === type);
const figures = file => sources(file, "code").filter(cell => cell.id.startsWith("fig-")).length;

const imagesLoaded = page => page.waitForFunction(
    () => [...document.querySelectorAll(".jp-OutputArea-output img")].every(image => image.complete));

async function visit(file, work) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    const page = await context.newPage();
    const foreign = [];
    page.on("request", request => {
        const { protocol, hostname } = new URL(request.url());
        if (protocol.startsWith("http") && hostname !== "127.0.0.1") foreign.push(request.url());
    });
    await page.goto(lab.open(file));
    await page.waitForFunction(count => {
        const panel = window.jupyterapp?.shell.currentWidget;
        return panel?.content?.widgets?.length === count
            && document.querySelectorAll(".jp-Cell").length === count
            && document.querySelector(".jp-RenderedMarkdown h1");
    }, notebooks.get(file).cells.length, { timeout: 120_000 });
    await page.waitForFunction(() => ![...document.querySelectorAll(".jp-RenderedMarkdown p")]
        .some(element => /\$[^$]*\$/.test(element.textContent)), null, { timeout: 60_000 });
    await imagesLoaded(page);
    const found = await work(page);
    await context.close();
    assert.deepEqual(foreign, [], `${file} asks other hosts`);
    return found;
}

const opened = new Map();
const afterRun = new Map();
await inParallel(files, file => visit(file, async page => {
    opened.set(file, await shown(page));
    if (!sources(file, "code").length) return;
    await page.evaluate(async () => {
        const { commands, shell } = window.jupyterapp;
        await shell.currentWidget.sessionContext.ready;
        await commands.execute("notebook:clear-all-cell-outputs");
        await commands.execute("notebook:run-all-cells");
    });
    await imagesLoaded(page);
    afterRun.set(file, await shown(page));
    await page.evaluate(() => window.jupyterapp.commands.execute("docmanager:save"));
}), 2);
const built = new Map();
for (const file of files) built.set(file, await builtPage(file));
const each = (what, wanted) => files.forEach(file => assert.deepEqual(what(file), wanted(file), file));

test("every label has the number of the built page, and no other", t => {
    each(file => notebooks.get(file).metadata.lab.labels, file => built.get(file).labels);
    const labels = files.flatMap(file => Object.keys(built.get(file).labels));
    assert.ok(labels.length > 0, "no label in the whole book");
    t.diagnostic(`${files.length} pages, ${labels.length} labels`);
});

test("what is stated, captioned and referred to reads as in the built page", t => {
    each(file => opened.get(file).stated,
        file => built.get(file).stated.filter(text => STATED.test(text)));
    each(file => opened.get(file).captions, file => built.get(file).captions);
    const references = found => found.links.filter(text => REFERENCE.test(text)).sort();
    const inText = files.filter(file => file !== "ledger.ipynb"); // its list is made in another way
    for (const file of inText) {
        assert.deepEqual(references(opened.get(file)), references(built.get(file)), file);
    }
    const years = citations => citations.map(text => text.replace(/[[\]]/g, ""))
        .filter(text => /\d{4}|n\.d\./.test(text)).sort();
    each(file => years(opened.get(file).citations), file => years(built.get(file).citations));
    t.diagnostic(`${inText.flatMap(file => references(opened.get(file))).length} references`);
});

test("no raw key, no icon, no bad formula", () => {
    each(file => RAW.exec(opened.get(file).prose)?.[0], () => undefined);
    each(file => [opened.get(file).icons, opened.get(file).badFormulas], () => [0, 0]);
    each(file => opened.get(file).tags,
        file => Object.values(built.get(file).labels).filter(text => text.startsWith("(")).length);
});

test("figures show before anything is run, each with its caption", t => {
    each(file => opened.get(file).images.filter(width => width > 0).length, figures);
    each(file => opened.get(file).captions.length, figures);
    const count = files.reduce((sum, file) => sum + figures(file), 0);
    assert.ok(count > 0, "no figure in the whole book");
    t.diagnostic(`${count} figures`);
});

test("setup, drawing, solutions and dropdowns are folded", t => {
    each(file => opened.get(file).folded, file => sources(file, "code").filter(
        cell => cell.metadata.jupyter?.source_hidden).length);
    each(file => [opened.get(file).openDetails, opened.get(file).openSolutions], () => [0, 0]);
    const solutions = files.reduce((sum, file) => sum + opened.get(file).solutions, 0);
    assert.ok(solutions > 0, "no solution in the whole book");
    t.diagnostic(`${solutions} solutions`);
});

test("Run All works, and its figures are legible in a dark theme", () => {
    const run = [...afterRun.keys()];
    assert.ok(run.length > 0, "nothing was run");
    for (const file of run) {
        assert.deepEqual(afterRun.get(file).errors, [], file);
        assert.equal(afterRun.get(file).images.filter(width => width > 0).length, figures(file), file);
        assert.equal(afterRun.get(file).onLight, figures(file), file);
    }
});

// JupyterLab opens another notebook at its beginning, whatever the link says; this one it scrolls.
test("links lead to the cell that they name, and to other chapters", async () => {
    const arrive = async (page, label) => page.waitForFunction(wanted => {
        const cells = window.jupyterapp.shell.currentWidget.content.widgets;
        const box = cells.find(cell => cell.model.id === wanted)?.node.getBoundingClientRect();
        return box && box.bottom > 100 && box.top < innerHeight - 100;
    }, label, { timeout: 20_000 });
    await visit("03_memoryless.ipynb", async page => {
        const follow = label => page.locator(`a[href$="cell-id=${label}"]`).first().click();
        await follow("fig-memoryless-gain");
        await arrive(page, "fig-memoryless-gain");
        await follow("clm-blind");
        await page.waitForFunction(
            () => window.jupyterapp.shell.currentWidget.context?.path === "01_impulse_response.ipynb");
    });
});

test("what was run and saved is no change, and the chapters are as they were", async () => {
    assert.equal(await make(), "");
    const left = (await readdir(copies)).filter(name => name.endsWith(".ipynb")).sort();
    assert.deepEqual(left, files);
    await promisify(execFile)(PYTHON, [join("tools", "notebooks.py"), "--check"], { cwd: ROOT });
});
