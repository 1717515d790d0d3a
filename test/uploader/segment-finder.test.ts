import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdir, open, readdir, rename, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { OpenFiles } from '../../src/daemon/open-files.ts'
import { systemClock } from '../../src/daemon/clock.ts'
import { foldersBelow, makeFolders } from '../../src/segments/folders.ts'
import { ProblemLog } from '../../src/daemon/problem-log.ts'
import { SegmentFinder } from '../../src/uploader/segment-finder.ts'
import type { Segment } from '../../src/uploader/upload-queue.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { LogLines } from './workbench.ts'

interface Options {
  stableAfterMs?: number
  rescanEveryMs?: number
  base?: string
}

/** A finder at work; `found` resolves with the next file that it holds for finished. */
async function search(t: TestContext, options: Options = {}) {
  const stop = new AbortController()
  let running: Promise<void> = Promise.resolve()
  // First of all hooks: a finder at work would make the folders again that others remove.
  t.after(async () => {
    stop.abort()
    await running
  })
  const folders = foldersBelow(options.base ?? (await temporaryFolder(t)))
  await makeFolders(folders)
  const offered: Segment[] = []
  let wake: () => void = () => {}
  const queue = {
    offer: (segment: Segment) => {
      offered.push(segment)
      wake()
    },
    has: (path: string) => offered.some((segment) => segment.path === path),
    retain: () => {},
  }
  const log = new LogLines()
  const finder = new SegmentFinder({
    ...{ folders, queue, log, clock: systemClock, openFiles: new OpenFiles() },
    problems: new ProblemLog(log, systemClock),
    ...{ stableAfterMs: 3000, rescanEveryMs: 60_000, ...options },
  })
  const found = async (count: number): Promise<string[]> => {
    while (offered.length < count) await new Promise<void>((resolve) => (wake = resolve))
    return offered.map(({ path }) => path)
  }
  const start = (): void => {
    running = finder.run(stop.signal)
  }
  return { folders, finder, log, offered, found, start }
}

// They mostly wait: for two seconds of silence around each file.
describe('the finder', { concurrency: true }, () => {
  test('what lies there at the start is found, and what comes later; what is no file is not', async (t) => {
    const { folders, log, offered, found, start } = await search(t)
    const at = (name: string): string => join(folders.recordings, name)
    await writeFile(at('early.mp4'), 'x')
    await mkdir(at('folder.mp4'))
    await symlink(at('early.mp4'), at('link.mp4'))
    execFileSync('mkfifo', [at('fifo.mp4')])
    const socket = createServer().listen(at('socket.mp4'))
    await once(socket, 'listening')
    t.after(() => socket.close())
    await writeFile(at('notes.txt'), 'x')
    start()
    assert.deepEqual(await found(1), [at('early.mp4')])
    await writeFile(at('late\nname 😀.mp4'), 'x')
    assert.deepEqual(await found(2), [at('early.mp4'), at('late\nname 😀.mp4')])
    assert.equal(offered.length, 2)
    assert.equal(log.count(/^WARNING not a regular file; left alone/), 4)
    assert.equal(log.count(/^WARNING/), 4)
  })

  test('a file that somebody has open, or still writes to, is left alone until it is finished', async (t) => {
    const { folders, found, start, offered } = await search(t)
    const held = join(folders.recordings, 'held.mp4')
    const growing = join(folders.recordings, 'growing.mp4')
    const file = await open(held, 'w')
    t.after(async () => file.close())
    await writeFile(growing, 'x')
    await writeFile(join(folders.recordings, 'mark-1.mp4'), 'x')
    start()
    const grows = setInterval(() => void appendFile(growing, 'x'), 300)
    t.after(() => clearInterval(grows))
    assert.deepEqual(await found(1), [join(folders.recordings, 'mark-1.mp4')])
    clearInterval(grows)
    await file.close()
    assert.deepEqual((await found(3)).toSorted(), [
      growing,
      held,
      join(folders.recordings, 'mark-1.mp4'),
    ])
    assert.ok((offered.find(({ path }) => path === growing)?.bytes ?? 0) > 1)
  })

  test('what was left in open/ is moved out after STABLE_SECONDS, over nothing', async (t) => {
    const { folders, found, start } = await search(t, { stableAfterMs: 2500 })
    const name = 'Front_20250125_153045.mp4'
    await writeFile(join(folders.recordings, name), 'another')
    await writeFile(join(folders.open, name), 'x')
    start()
    const paths = await found(2)
    const suffixed = join(folders.recordings, name.replace('.mp4', '_2.mp4'))
    assert.deepEqual(paths, [join(folders.recordings, name), suffixed])
    assert.deepEqual(await readdir(folders.open), [])
  })

  test('a writer is seen through a link on the way to the folder', async (t) => {
    const real = await temporaryFolder(t)
    const base = join(await temporaryFolder(t), 'link')
    await symlink(real, base)
    const { folders, found, start } = await search(t, { base })
    const file = await open(join(folders.recordings, 'held.mp4'), 'w')
    t.after(async () => file.close())
    await writeFile(join(folders.recordings, 'free.mp4'), 'x')
    start()
    assert.deepEqual(await found(1), [join(folders.recordings, 'free.mp4')])
  })

  test('a file that changed in the queue is looked at anew', async (t) => {
    const { folders, finder, offered, found, start } = await search(t)
    const path = join(folders.recordings, 'a.mp4')
    await writeFile(path, 'x')
    start()
    await found(1)
    offered.length = 0
    finder.hint(path)
    assert.deepEqual(await found(1), [path])
  })

  test('a name that is not UTF-8 is reported, and disturbs no other file', async (t) => {
    const { folders, log, found, start } = await search(t)
    const latin1 = Buffer.concat([Buffer.from(`${folders.recordings}/Caf`), Buffer.from([0xe9])])
    await writeFile(Buffer.concat([latin1, Buffer.from('.mp4')]), 'x')
    await writeFile(join(folders.recordings, 'a.mp4'), 'x')
    start()
    assert.deepEqual(await found(1), [join(folders.recordings, 'a.mp4')])
    assert.equal(
      log.count(/^WARNING a file cannot be shipped.*is not named in UTF-8: rename it/),
      1,
    )
  })

  test('folders that were removed come back, and are watched', async (t) => {
    const { folders, found, start } = await search(t, { rescanEveryMs: 500 })
    start()
    await rename(folders.recordings, join(folders.base, 'elsewhere'))
    while (!(await readdir(folders.open).catch(() => undefined)))
      await new Promise((resolve) => setTimeout(resolve, 50))
    const path = join(folders.recordings, 'a.mp4')
    await writeFile(path, 'y')
    assert.deepEqual(await found(1), [path])
  })
})
