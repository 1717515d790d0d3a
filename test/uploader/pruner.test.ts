import assert from 'node:assert/strict'
import {
  copyFile,
  mkdir,
  readFile,
  readdir,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { forgetClosed, pruneAll, pruneOne } from '../../src/uploader/pruner.ts'
import { HeldClock } from '../support/held-clock.ts'
import { fragmented, never, openWorkbench, type Workbench } from './workbench.ts'

const name = 'Front_20250125_153045.mp4'
const day = '2025-01-25'
const hourMs = 3_600_000

interface Shipped extends Workbench {
  path: string
  prune: () => Promise<void>
  /** Lets the store's clock stand at this time. */
  setStoreClock: (ms: number | undefined) => void
  uploaded: () => Promise<string[]>
}

/** One file in uploaded/, shipped a moment ago. */
async function shipped(t: TestContext, retentionHours = 0): Promise<Shipped> {
  const bench = await openWorkbench(t)
  const end = await bench.ship(await bench.record(name))
  assert.ok(end.why === 'shipped')
  bench.pruning.retentionMs = retentionHours * hourMs
  return {
    ...bench,
    path: end.path,
    prune: async () => void (await pruneAll(bench.pruning, never)),
    setStoreClock: (ms) => {
      const store = Object.create(bench.store) as typeof bench.store
      bench.pruning.store = Object.assign(store, { now: () => ms })
    },
    uploaded: async () => readdir(bench.folders.uploaded),
  }
}

test('a file that the ledger proves goes when its time is over by the store, and not before', async (t) => {
  const { pruning, prune, uploaded, log, setStoreClock } = await shipped(t, 24)
  const shippedMs = Date.now()
  setStoreClock(shippedMs + 24 * hourMs - 60_000)
  await prune()
  assert.deepEqual(await uploaded(), [name])
  setStoreClock(shippedMs + 24 * hourMs + 1000)
  // What this machine's own clock says counts for nothing.
  pruning.clock = new HeldClock(0)
  await prune()
  assert.deepEqual(await uploaded(), [])
  assert.equal(log.count(/^INFO pruned/), 1)
})

for (const [clock, ms] of [
  ['at 1970', 0],
  ['a decade ahead', Date.now() + 87_600 * hourMs],
] as const)
  test(`a clock that stands ${clock} prunes nothing, whether the store has told the time or not`, async (t) => {
    const { pruning, prune, uploaded, setStoreClock } = await shipped(t, 1)
    pruning.clock = new HeldClock(ms)
    await prune()
    setStoreClock(undefined)
    await prune()
    assert.deepEqual(await uploaded(), [name])
  })

test('what is known not to be due yet is passed over until it is', async (t) => {
  const { pruning, path, uploaded, setStoreClock } = await shipped(t, 24)
  const dueTimes = await pruneAll(pruning, never)
  assert.deepEqual([...dueTimes.keys()], [path])
  const { ledger } = pruning
  let looks = 0
  const linesOf: typeof ledger.linesOf = async (...file) => {
    looks += 1
    return ledger.linesOf(...file)
  }
  pruning.ledger = { linesOf } as typeof ledger
  assert.deepEqual(await pruneAll(pruning, never, dueTimes), dueTimes)
  assert.equal(looks, 0)
  setStoreClock(dueTimes.get(path))
  await pruneAll(pruning, never, dueTimes)
  assert.deepEqual(await uploaded(), [])
  assert.equal(looks, 1)
})

test('with no retention at all a file goes at once', async (t) => {
  const { pruning, path, uploaded } = await shipped(t)
  await pruneOne(pruning, path, never)
  assert.deepEqual(await uploaded(), [])
})

test('another file under a name and length that the ledger has is shipped, not pruned', async (t) => {
  const { path, folders, prune, uploaded, ship, server } = await shipped(t)
  const content = await readFile(path)
  content.fill(0, content.length - 100)
  await writeFile(path, content)
  await prune()
  assert.deepEqual(await uploaded(), [])
  const end = await ship(join(folders.recordings, name))
  assert.ok(end.why === 'shipped')
  assert.match(end.key, /_2\.mp4$/)
  assert.equal(server.objects.size, 2)
})

test('without a ledger a file is proven by the store, and noted', async (t) => {
  const { folders, prune, uploaded, ledgerText } = await shipped(t, 24)
  const before = await ledgerText(day)
  await rm(join(folders.ledger, `${day}.ndjson`))
  await prune()
  assert.deepEqual(await uploaded(), [name])
  assert.equal(await ledgerText(day), before)
})

test('what lies in uploaded/ and is not in the store goes back to be shipped', async (t) => {
  const { folders, prune, uploaded, log } = await shipped(t, 24)
  const old = 'Yard_20240101_000000.mp4'
  await copyFile(await fragmented(), join(folders.uploaded, old))
  await prune()
  assert.deepEqual(await uploaded(), [name])
  assert.ok((await readdir(folders.recordings)).includes(old))
  assert.equal(log.count(/^WARNING lay in uploaded/), 1)
})

test('while the store fails nothing that it would have to prove is touched', async (t) => {
  const { folders, pruning, prune, uploaded, server, log } = await shipped(t, 24)
  await rm(join(folders.ledger, `${day}.ndjson`))
  const unreachable = { ...pruning, storeFails: () => true }
  await pruneAll(unreachable, never)
  server.options.refuse = () => ({ code: 'SlowDown', status: 503 })
  await prune()
  assert.deepEqual(await uploaded(), [name])
  assert.equal(log.count(/^WARNING/), 0)
})

test('a file that got a suffix on its way into uploaded/ is proven by its own line', async (t) => {
  const { path, prune, uploaded, server } = await shipped(t)
  await rename(path, path.replace('.mp4', '_2.mp4'))
  await prune()
  assert.deepEqual(await uploaded(), [])
  assert.equal(server.objects.size, 1)
})

test('what is no file, or no video, is left alone', async (t) => {
  const { folders, path, prune, uploaded } = await shipped(t)
  await mkdir(join(folders.uploaded, 'folder.mp4'))
  await symlink(path, join(folders.uploaded, 'link.mp4'))
  await writeFile(join(folders.uploaded, 'notes.txt'), 'x')
  await prune()
  assert.deepEqual((await uploaded()).sort(), ['folder.mp4', 'link.mp4', 'notes.txt'])
})

test('what the recorder noted of a day is kept as long as a file of that day, and that of the newest days', async (t) => {
  const { folders, pruning } = await openWorkbench(t)
  const days = Array.from({ length: 8 }, (_, index) => `2025-01-1${index}`)
  for (const each of days) await writeFile(join(folders.closed, `${each}.ndjson`), '{}\n')
  const kept = async () => (await readdir(folders.closed)).map((file) => file.slice(0, 10)).sort()
  const waiting = join(folders.open, 'Front_20250112_235900.1f0c93ab.mp4')
  await writeFile(waiting, '')
  await writeFile(join(folders.uploaded, 'Front_20250113_000000_2.mp4'), '')
  await forgetClosed(pruning)
  assert.deepEqual(await kept(), days.slice(2))
  await rm(waiting)
  await forgetClosed(pruning)
  assert.deepEqual(await kept(), days.slice(3))
  // Its disk may be away.
  await rm(folders.uploaded, { recursive: true })
  await forgetClosed(pruning)
  assert.deepEqual(await kept(), days.slice(3))
  await mkdir(folders.uploaded)
  await forgetClosed(pruning)
  assert.deepEqual(await kept(), days.slice(4))
})
