import assert from 'node:assert/strict'
import { copyFile, readFile, readdir, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { CrashSite, day, key, mp4Files, name, sha } from './crash-site.ts'
import { finalized, fragmentedHevc, padded } from './workbench.ts'

const names = ['A', 'B', 'C'].map((camera) => `${camera}_20250125_153045.mp4`)

/** Three files that are shipped; the uploader has ended. */
async function shipped(t: TestContext): Promise<{ site: CrashSite; journal: string }> {
  const site = await CrashSite.open(t)
  for (const [index, file] of names.entries()) {
    const path = await site.record(file)
    await padded(path, 200_000 + index * 1000)
    await site.record(file, path)
  }
  const daemon = await site.start()
  await site.drained()
  assert.equal(await daemon.stop(), 0)
  await site.assertEachOnce()
  return { site, journal: join(site.folders.ledger, `${day}.ndjson`) }
}

/** Lets everything be due for deletion, until nothing is left to delete; what was there must be in S3. */
async function pruneAll(site: CrashSite): Promise<void> {
  const contents = await Promise.all(
    (await mp4Files(site.folders.uploaded)).map(async (file) =>
      readFile(join(site.folders.uploaded, file)),
    ),
  )
  for (let round = 0; (await mp4Files(site.folders.uploaded)).length > 0; round += 1) {
    assert.ok(round < 12, 'something is never deleted')
    const daemon = await site.start({ settings: { LOCAL_RETENTION_HOURS: 0, MIN_FREE_DISK_GB: 0 } })
    await daemon.line(/pruned|noted in the ledger|to be uploaded/)
    await site.drained()
    assert.equal(await daemon.stop(), 0)
    const stored = await Promise.all(
      [...site.server.objects.keys()].map(async (k) => sha(await site.server.content(k))),
    )
    const waiting = await Promise.all(
      [site.folders.uploaded, site.folders.recordings].map(async (folder) =>
        Promise.all(
          (await mp4Files(folder)).map(async (file) => sha(await readFile(join(folder, file)))),
        ),
      ),
    )
    for (const content of contents)
      assert.ok([...stored, ...waiting.flat()].includes(sha(content)), 'something is gone')
  }
  const stored = [...site.server.objects.keys()].map(async (k) => sha(await site.server.content(k)))
  const hashes = await Promise.all(stored)
  for (const content of contents) assert.ok(hashes.includes(sha(content)))
}

describe('the uploader', { concurrency: 4 }, () => {
  test('goes on with a ledger that is cut off in its last line: it proves that file anew', async (t) => {
    const { site, journal } = await shipped(t)
    const text = await readFile(journal)
    await truncate(journal, text.length - 120)
    await pruneAll(site)
    assert.equal(site.server.objects.size, 3)
    const lines = (await readFile(journal, 'utf8')).trim().split('\n')
    // Two whole ones, half of one, and that one again.
    assert.equal(lines.length, 4)
    await site.record('D_20250125_153045.mp4')
    const daemon = await site.start()
    await daemon.line(/D_20250125_153045.mp4: moved to uploaded/)
    assert.equal(await daemon.stop(), 0)
    assert.match(
      (await readFile(journal, 'utf8')).trim().split('\n').at(-1) ?? '',
      /"file":"D_2025/,
    )
  })

  test('goes on without its ledger: it proves every file anew, and sends none again', async (t) => {
    const { site, journal } = await shipped(t)
    await rm(journal)
    await pruneAll(site)
    assert.equal(site.server.objects.size, 3)
    assert.equal(site.server.requests.filter(({ method }) => method === 'PUT').length, 3)
    assert.equal((await readFile(journal, 'utf8')).trim().split('\n').length, 3)
  })

  test('ships what an earlier system has left in uploaded/ before it deletes it', async (t) => {
    const site = await CrashSite.open(t)
    const { uploaded } = site.folders
    await copyFile(await finalized(), join(uploaded, 'Old_20240101_000000.mp4'))
    await copyFile(await fragmentedHevc(), join(uploaded, 'older.mp4'))
    await padded(join(uploaded, name), 300_000)
    // Its own upload, under the very key, says nothing of its content.
    site.server.objects.set(key, {
      ...{ path: await finalized(), bytes: 1, etag: 'x', lastModified: new Date(), headers: {} },
    })
    const olderAsItWas = sha(await readFile(join(uploaded, 'older.mp4')))
    const daemon = await site.start({ settings: { LOCAL_RETENTION_HOURS: 0, MIN_FREE_DISK_GB: 0 } })
    for (const file of ['Old_20240101_000000', 'older', 'Front_20250125_153045'])
      await daemon.line(new RegExp(`${file}.*pruned`))
    assert.equal(await daemon.stop(), 0)
    const keys = [...site.server.objects.keys()].sort()
    t.diagnostic(keys.join(', '))
    assert.equal(keys.length, 4)
    assert.ok(keys.includes(key.replace('.mp4', '_2.mp4')))
    assert.ok(keys.includes('recordings/2024/01/01/Old_20240101_000000.mp4'))
    assert.ok(
      keys.some((one) => one.endsWith('/older.mp4')),
      olderAsItWas,
    )
    assert.deepEqual(await readdir(uploaded), [])
  })

  test('ships another file under a name that the ledger has: a name alone proves nothing', async (t) => {
    const { site } = await shipped(t)
    const [file = ''] = names
    const path = await site.record(file)
    await padded(path, 999_000)
    const content = sha(await readFile(path))
    const daemon = await site.start()
    await daemon.line(/moved to uploaded/)
    await site.drained()
    assert.equal(await daemon.stop(), 0)
    assert.equal(site.server.objects.size, 4)
    const second = `recordings/2025/01/25/${file.replace('.mp4', '_2.mp4')}`
    assert.equal(sha(await site.server.content(second)), content)
    assert.equal(site.ledger().filter((line) => line.file === file).length, 2)
    const kept = (await readdir(site.folders.uploaded)).sort()
    assert.deepEqual(kept, [...names, file.replace('.mp4', '_2.mp4')].sort())
    await pruneAll(site)
  })
})
