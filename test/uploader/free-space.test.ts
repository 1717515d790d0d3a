import assert from 'node:assert/strict'
import { copyFile, readFile, readdir, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Gaps, type GapLine } from '../../src/segments/gaps.ts'
import { hoursUntilFull, type SpaceSample } from '../../src/uploader/disk-forecast.ts'
import { FreeSpace, shortage, type FreeSpaceDeps } from '../../src/uploader/free-space.ts'
import type { Segment } from '../../src/uploader/upload-queue.ts'
import { journalLines } from '../support/journal-lines.ts'
import { cannotMount, smallDisk } from '../support/small-disk.ts'
import { never, openWorkbench, solid, type Workbench } from './workbench.ts'

const minuteMs = 60_000

/** Free bytes each ten seconds. */
function samples(minutes: number, freeBytes: (minute: number) => number): SpaceSample[] {
  return Array.from({ length: minutes * 6 + 1 }, (_, index) => ({
    atMs: (index * minuteMs) / 6,
    freeBytes: freeBytes(index / 6),
  }))
}

const forecasts: [string, SpaceSample[], number | undefined][] = [
  ['nothing known', [], undefined],
  ['too short a time', samples(4, (minute) => 100e9 - minute * 1e9), undefined],
  ['a steady decline: 90 GB left, 1 GB a minute', samples(10, (m) => 100e9 - m * 1e9), 1.5],
  [
    'a decline with files that come and go',
    samples(60, (m) => 1e12 - m * 1e9 + (m % 2) * 1e8),
    15.7,
  ],
  ['no decline', samples(60, () => 50e9), undefined],
  ['more and more room', samples(60, (m) => 50e9 + m * 1e8), undefined],
  ['as much pruned as recorded', samples(60, (m) => 50e9 - (m % 10) * 1e8), undefined],
  ['a decline that would take a year', samples(60, (m) => 5e12 - m * 1e6), undefined],
  ['a disk that is full', samples(10, (m) => 10e9 - m * 1e9), 0],
]

for (const [title, given, hours] of forecasts)
  test(`a forecast of ${title}: ${hours ?? 'none'}`, () =>
    assert.equal(hoursUntilFull(given), hours))

test('what is done about a shortage is said as it is', () => {
  assert.match(shortage('keep', true, 0), /uploaded\/ is pruned early/)
  assert.match(shortage('keep', false, 0), /recording goes on until the disk is full/)
  assert.match(shortage('drop-oldest', false, 1), /oldest footage that waits is dropped/)
  assert.match(shortage('drop-oldest', false, 0), /nothing more may be deleted/)
})

const megabyte = 1 << 20
const hour = (n: number): string => `Front_20250125_${String(n).padStart(2, '0')}0000.mp4`

interface Bench extends Workbench {
  waiting: Segment[]
  inFlight: Set<string>
  uploaded: () => Promise<string[]>
  waits: () => Promise<string[]>
  space: (deps?: Partial<FreeSpaceDeps>) => FreeSpace
  /** Puts a file of 4 MB into recordings/, waiting. */
  wait: (hourOfDay: number) => Promise<string>
}

/** A disk of 40 MB, of which 20 shall be free. */
async function bench(t: TestContext): Promise<Bench> {
  const work = await openWorkbench(t, {}, {}, await smallDisk(t, 40))
  const { folders } = work
  work.pruning.retentionMs = 1e12
  const waiting: Segment[] = []
  const inFlight = new Set<string>()
  const mp4Of = async (folder: string): Promise<string[]> =>
    (await readdir(folder)).filter((name) => name.endsWith('.mp4')).sort()
  const withdraw = (path: string): boolean => {
    const index = waiting.findIndex((segment) => segment.path === path)
    if (index < 0 || inFlight.has(path)) return false
    waiting.splice(index, 1)
    return true
  }
  return {
    ...{ ...work, waiting, inFlight },
    uploaded: async () => mp4Of(folders.uploaded),
    waits: async () => mp4Of(folders.recordings),
    space: (deps = {}) =>
      new FreeSpace({
        ...work.pruning,
        ...{ minFreeBytes: 20 * megabyte, onDiskFull: 'keep', gaps: new Gaps(folders.gaps) },
        queue: { waiting, withdraw },
        ...deps,
      }),
    wait: async (hourOfDay) => {
      const path = join(folders.recordings, hour(hourOfDay))
      await solid(path, 4 * megabyte)
      const startMs = new Date(2025, 0, 25, hourOfDay).getTime()
      waiting.push({ path, bytes: 4 * megabyte, startMs })
      return path
    },
  }
}

const onSmallDisk = { skip: cannotMount }

test(
  'the oldest files that are in S3 go first, and only until there is enough',
  onSmallDisk,
  async (t) => {
    const { wait, ship, space, uploaded, waiting, log } = await bench(t)
    for (const n of [9, 3, 7, 1, 5, 8]) {
      const path = await wait(n)
      assert.equal((await ship(path)).why, 'shipped')
    }
    waiting.length = 0
    const guard = space()
    const looked = guard.look(never)
    while (guard.status.freeBytes === undefined) await nextTurn()
    assert.ok(guard.status.freeBytes >= 20 * megabyte, 'a shortage that is mended is none')
    await looked
    // 24 of 40 MB are taken, 20 may be.
    assert.deepEqual(await uploaded(), [5, 7, 8, 9].map(hour))
    assert.equal(log.count(/^INFO pruned/), 2)
    assert.equal(log.count(/^WARNING free space has fallen.*uploaded\/ is pruned early/), 1)
    assert.ok((guard.status.freeBytes ?? 0) >= 20 * megabyte)
  },
)

test('what no ledger line proves stays, whatever is short', onSmallDisk, async (t) => {
  const { wait, ship, space, uploaded, folders } = await bench(t)
  for (const n of [1, 2, 3]) await ship(await wait(n))
  const forged = join(folders.uploaded, hour(2))
  const content = await readFile(forged)
  content.fill(7, content.length - 100)
  await writeFile(forged, content)
  await copyFile(forged, join(folders.uploaded, hour(4)))
  await space({ minFreeBytes: 1e12 }).look(never)
  assert.deepEqual(await uploaded(), [hour(2), hour(4)])
})

test(
  'with keep, nothing that waits is deleted, and it is said once until it is over',
  onSmallDisk,
  async (t) => {
    const { wait, space, waits, log, folders } = await bench(t)
    for (const n of [1, 2, 3, 4, 5, 6]) await wait(n)
    const guard = space()
    for (let round = 0; round < 3; round += 1) await guard.look(never)
    assert.equal((await waits()).length, 6)
    assert.equal(log.count(/nothing more in uploaded\/ may be deleted; recording goes on/), 1)
    assert.equal(log.count(/room on the disk again/), 0)
    for (const n of [1, 2, 3]) await truncate(join(folders.recordings, hour(n)), 0)
    for (let round = 0; round < 3; round += 1) await guard.look(never)
    assert.equal(log.count(/room on the disk again/), 1)
  },
)

test(
  'with drop-oldest the oldest that waits goes, each with an error and a gap, never one in flight',
  onSmallDisk,
  async (t) => {
    const { wait, space, waits, log, folders, inFlight } = await bench(t)
    for (const n of [4, 2, 6, 1, 5, 3]) await wait(n)
    inFlight.add(join(folders.recordings, hour(1)))
    await writeFile(join(folders.open, hour(0)), Buffer.alloc(megabyte))
    const guard = space({ onDiskFull: 'drop-oldest' })
    await guard.look(never)
    assert.ok((guard.status.freeBytes ?? 0) < 20 * megabyte, 'somebody is told of it')
    // 25 of 40 MB are taken, 20 may be.
    assert.deepEqual(await waits(), [1, 4, 5, 6].map(hour))
    assert.ok((await stat(join(folders.open, hour(0)))).isFile())
    assert.equal(log.count(/^ERROR dropped/), 2)
    assert.deepEqual(
      journalLines<GapLine>(folders.gaps).map(({ camera, from, reason }) => [
        ...[camera, from.slice(0, 19), reason],
      ]),
      [2, 3].map((n) => ['Front', `2025-01-25T0${n}:00:00`, 'dropped: disk full']),
    )
  },
)

test('with drop-oldest what is in S3 goes before what is not', onSmallDisk, async (t) => {
  const { wait, ship, space, waits, uploaded, log } = await bench(t)
  for (const n of [8, 9]) await ship(await wait(n))
  for (const n of [1, 2, 3, 4]) await wait(n)
  await space({ onDiskFull: 'drop-oldest' }).look(never)
  assert.deepEqual(await uploaded(), [])
  assert.equal((await waits()).length, 4)
  assert.equal(log.count(/^ERROR/), 0)
})

test('0 switches it off', onSmallDisk, async (t) => {
  const { wait, ship, space, waits, uploaded, log } = await bench(t)
  await ship(await wait(1))
  for (const n of [2, 3, 4, 5, 6, 7, 8]) await wait(n)
  await space({ onDiskFull: 'drop-oldest', minFreeBytes: 0 }).look(never)
  assert.deepEqual([(await uploaded()).length, (await waits()).length], [1, 7])
  assert.equal(log.count(/free space/), 0)
})
