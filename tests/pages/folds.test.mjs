// The buttons that unfold a page, on a throw-away page with the book's own script and style sheet.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { launch } from "./site.mjs";

const STATIC = new URL("../../book/_static/", import.meta.url);
const folder = mkdtempSync(join(tmpdir(), "folds "));
const browser = await launch();
after(async () => {
    await browser.close();
    rmSync(folder, { recursive: true });
});

const CODE = "<div class='cell'><details><summary>Show code</summary><pre>1</pre></details></div>";
const PROOF = "<details class='sd-dropdown'><summary>The proof</summary><p>Clear.</p></details>";

async function open(body, options = {}) {
    const file = join(folder, "page.html");
    writeFileSync(file, `<!DOCTYPE html><title>Folds</title>
        <link rel="stylesheet" href="${new URL("book.css", STATIC)}">
        <script src="${new URL("book.js", STATIC)}"></script>
        <article><h1>Folds</h1>${body}</article>`);
    const page = await browser.newPage(options);
    await page.goto(pathToFileURL(file).href);
    return page;
}
const buttons = page => page.locator(".unfold button").allTextContents();
const opened = page => page.locator("details").evaluateAll(all => all.map(part => part.open));

test("one button opens all code, another all proofs, and they fold them again", async () => {
    const page = await open(CODE + PROOF + CODE);
    assert.deepEqual(await buttons(page), ["Show all code", "Show all proofs"]);
    await page.getByText("Show all code").click();
    assert.deepEqual(await opened(page), [true, false, true]);
    await page.getByText("Show all proofs").press("Enter");
    assert.deepEqual(await opened(page), [true, true, true]);
    assert.deepEqual(await buttons(page), ["Fold all code", "Fold all proofs"]);
    await page.locator("summary").first().click(); // one by one, as without the button
    await page.getByText("Show all code").click();
    await page.getByText("Fold all code").click();
    assert.deepEqual(await opened(page), [false, true, false]);
});

test("there is a button for what is there, and none without JavaScript", async () => {
    assert.deepEqual(await buttons(await open("<p>Nothing.</p>")), []);
    assert.deepEqual(await buttons(await open(PROOF)), ["Show all proofs"]);
    assert.deepEqual(await buttons(await open(CODE, { javaScriptEnabled: false })), []);
});

test("without JavaScript a fold opens by itself, and prints open", async () => {
    const page = await open(CODE + PROOF, { javaScriptEnabled: false });
    const seen = () => page.locator("details > :not(summary)").evaluateAll(
        all => all.map(part => part.checkVisibility()));
    assert.deepEqual(await seen(), [false, false]);
    await page.locator("summary").first().click();
    assert.deepEqual(await seen(), [true, false]);
    await page.emulateMedia({ media: "print" });
    assert.deepEqual(await seen(), [true, true]);
});
