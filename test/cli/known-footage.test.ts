import assert from 'node:assert/strict'
import { copyFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { KnownFootage } from '../../src/cli/known-footage.ts'
import { localFiles } from '../../src/cli/local-files.ts'
import { isoLocal } from '../../src/daemon/local-time.ts'
import { ClosedSegments } from '../../src/segments/closed-segments.ts'
import { Gaps } from '../../src/segments/gaps.ts'
import { inZone } from '../support/time-zone.ts'
import { fragmented, openWorkbench } from '../uploader/workbench.ts'

const beganMs = new Date(2025, 0, 25, 15, 30, 45).getTime()
const anywhere = {
  bytes: 1,
  crc32: '',
  endpoint: 'https://s3.example',
  bucket: 'footage',
  key: 'a/b',
}
const aDay = { fromMs: beganMs - 1000, toMs: beganMs + 3_600_000 }

test('footage is known from S3, with what still lies here, and what waits', async (t) => {
  const { folders, record, ship } = await openWorkbench(t)
  await ship(await record('Front_20250125_153045.mp4', await fragmented()))
  await ship(await record('Front_20250125_153047.mp4', await fragmented()))
  await rm(join(folders.uploaded, 'Front_20250125_153047.mp4'))
  await record('Front_20250125_153049.mp4')
  const open = join(folders.open, 'Front_20250125_153051.1f0c93ab.mp4')
  await copyFile(await fragmented(), open)
  for (const [path, seconds] of [
    [join(folders.recordings, 'Front_20250125_153049.mp4'), 6],
    [open, 9],
  ] as const)
    await utimes(path, beganMs / 1000 + seconds, beganMs / 1000 + seconds)
  await writeFile(join(folders.recordings, 'holiday.mp4'), 'none of ours')

  const known = new KnownFootage(folders, beganMs + 10_000)
  const found = await known.stretches(aDay)
  assert.deepEqual(
    found.map(({ camera, file, path, stored, fromMs, toMs }) => ({
      ...{ camera, file, key: stored?.key, isHere: path !== undefined },
      ...{ from: (fromMs - beganMs) / 1000, to: Math.round((toMs - beganMs) / 1000) },
    })),
    [
      ['Front_20250125_153045.mp4', true, true, 0, 2],
      ['Front_20250125_153047.mp4', true, false, 2, 4],
      ['Front_20250125_153049.mp4', false, true, 4, 6],
      ['Front_20250125_153051.mp4', false, true, 6, 9],
    ].map(([file, isStored, isHere, from, to]) => ({
      ...{ camera: 'Front', file, isHere, from, to },
      key: isStored ? `recordings/2025/01/25/${String(file)}` : undefined,
    })),
  )
  assert.deepEqual(await known.stretches({ fromMs: 0, toMs: beganMs - 86_400_000 }), [])
  assert.deepEqual(await known.cameras(), ['Front'])
  assert.equal((await known.firstOf(['Front'], beganMs)).get('Front'), beganMs)
})

test('what waits has the times that the recorder noted, whatever its name and its mtime say', async (t) => {
  const { folders, record } = await openWorkbench(t)
  const path = await record('Front_20250125_153045_2.mp4', await fragmented())
  const { dev: device, ino: inode, size: bytes } = await stat(path)
  const known = { camera: 'Front', file: 'Front_20250125_153045.mp4', frames: 50, sounds: 0 }
  const times = { start: isoLocal(beganMs + 720), durationSeconds: 600.04 }
  const closed = new ClosedSegments(folders.closed)
  await closed.append({ ...known, ...times, device, inode, bytes }, '2025-01-25')
  // What begins in it by its name ends it no earlier.
  await record('Front_20250125_153100.mp4')
  const [found] = await new KnownFootage(folders, beganMs + 700_000).stretches(aDay)
  assert.equal(found?.path, path)
  assert.deepEqual([found?.fromMs, found?.toMs], [beganMs + 720, beganMs + 600_760])
})

test('what waits from the hour that is repeated is of the time that its length tells', async (t) => {
  inZone(t, 'Europe/Berlin')
  const { folders } = await openWorkbench(t)
  const closed = new ClosedSegments(folders.closed)
  const [first, second] = ['2025-10-26T02:10:00+02:00', '2025-10-26T02:10:00+01:00'].map(Date.parse)
  assert.ok(first !== undefined && second !== undefined)
  const path = join(folders.recordings, 'Front_20251026_021000.mp4')
  await writeFile(path, 'some')
  for (const [fromMs, endMs] of [
    [first, first + 45 * 60_000],
    [first, second],
    [second, second + 45 * 60_000],
  ] as const) {
    await utimes(path, endMs / 1000, endMs / 1000)
    const [found] = await localFiles({ waiting: [folders.recordings] }, closed)
    assert.deepEqual([found?.fromMs, found?.toMs], [fromMs, endMs])
  }
})

test('footage of another time zone, and the end of what is recorded no more', async (t) => {
  const { folders } = await openWorkbench(t)
  const day = async (name: string, ...lines: object[]): Promise<void> => {
    const text = lines.map((line) => `${JSON.stringify({ ...anywhere, ...line })}\n`).join('')
    await writeFile(join(folders.ledger, `${name}.ndjson`), text)
  }
  const at = (date: number, hours: number): number => new Date(2025, 0, date, hours).getTime()
  const line = (camera: string, beginsMs: number): object => {
    const start = isoLocal(beginsMs)
    return { file: `${camera}_${start}.mp4`, camera, start, durationSeconds: 3600 }
  }
  await day('2025-01-24', line('Front', at(24, 1)), line('Side', at(24, 1)))
  // As one in UTC named it, on a machine that is in America now.
  await day('2025-01-26', line('Front', at(25, 20)))
  await day('2025-01-27', line('Side', at(27, 1)))

  const known = new KnownFootage(folders, at(28, 0))
  const moment = { fromMs: at(25, 20) + 1000, toMs: at(25, 20) + 1000 }
  assert.equal((await known.stretches(moment)).length, 1)
  const last = await known.lastOf(['Front', 'Side'], { fromMs: at(24, 0), toMs: at(25, 0) })
  assert.equal(last.get('Front'), at(25, 21))
  assert.ok((last.get('Side') ?? 0) > at(25, 0))
  const before = await known.lastOf(['Front'], { fromMs: at(31, 0), toMs: at(32, 0) })
  assert.equal(before.get('Front'), undefined)
})

test('what the ledger has of no length lasts until the next, and what it spoils is left out', async (t) => {
  const { folders } = await openWorkbench(t)
  const line = (minute: number, more: object): string => {
    const start = isoLocal(beganMs + minute * 60_000)
    const file = `Front_20250125_15${30 + minute}45.mp4`
    return JSON.stringify({
      ...anywhere,
      file,
      camera: 'Front',
      start,
      durationSeconds: 0,
      ...more,
    })
  }
  const lines = [
    ...[line(0, {}), line(10, {}), line(20, { start: undefined }), line(20, { camera: 7 })],
    ...[line(25, { key: undefined }), line(26, { file: 'holiday.mp4', camera: 'unknown' }), ''],
  ]
  await writeFile(join(folders.ledger, '2025-01-25.ndjson'), lines.join('\n'))
  const known = new KnownFootage(folders, beganMs + 86_400_000, 900_000)
  const found = await known.stretches(aDay)
  assert.deepEqual(
    found.map(({ camera, fromMs, toMs }) => [
      ...[camera, (fromMs - beganMs) / 60_000, (toMs - fromMs) / 60_000],
    ]),
    [
      ['Front', 0, 10],
      ['Front', 10, 15],
      ['unknown', 26, 15],
    ],
  )
  assert.deepEqual(await known.cameras(), ['Front'])
})

test('a gap that is not over lasts until the next footage, or until now', async (t) => {
  const { folders, record } = await openWorkbench(t)
  const noted = new Gaps(folders.gaps)
  const nowMs = beganMs + 60_000
  const gaps = async () =>
    (await new KnownFootage(folders, nowMs).gaps()).map(({ camera, reason, fromMs, toMs }) => [
      ...[camera, reason, (fromMs - beganMs) / 1000, (toMs - beganMs) / 1000],
    ])
  await noted.open({ camera: 'Front', fromMs: beganMs, reason: 'camera disconnected' })
  await noted.open({ camera: 'Gone', fromMs: beganMs, reason: 'camera silent' })
  const cameras = [{ name: 'Front', footageUntil: isoLocal(beganMs - 700), gap: 'camera silent' }]
  const status = { pid: process.pid, updatedAt: isoLocal(nowMs), cameras }
  await writeFile(join(folders.status, 'recorder.json'), JSON.stringify(status))
  assert.deepEqual(await gaps(), [['Front', 'camera silent', 0, 60]])

  // It is over, but the segment behind it isn't closed yet, so that nobody has noted it.
  const recording = [{ name: 'Front', footageUntil: isoLocal(nowMs) }]
  const now = JSON.stringify({ ...status, cameras: recording })
  await writeFile(join(folders.status, 'recorder.json'), now)
  await copyFile(await fragmented(), join(folders.open, 'Front_20250125_153110.1f0c93ab.mp4'))
  assert.deepEqual(await gaps(), [['Front', 'camera disconnected', 0, 25]])

  const over = { camera: 'Front', fromMs: beganMs, toMs: beganMs + 25_400, reason: 'camera silent' }
  await noted.append(over)
  assert.deepEqual(await gaps(), [['Front', 'camera silent', 0, 25.4]])
  // Nothing is missing behind this one.
  await noted.open({ camera: 'Front', fromMs: beganMs + 34_100, reason: 'stream changed' })
  const behind = await record('Front_20250125_153119.mp4')
  await utimes(behind, nowMs / 1000, nowMs / 1000)
  assert.deepEqual(await gaps(), [['Front', 'camera silent', 0, 25.4]])
})

test('gaps are those that were noted, and those that are not over', async (t) => {
  const { folders } = await openWorkbench(t)
  const nowMs = beganMs + 60_000
  const gaps = async () => new KnownFootage(folders, nowMs).gaps()
  assert.deepEqual(await gaps(), [])
  const gap = { camera: 'Front', fromMs: beganMs, toMs: beganMs + 5000, reason: 'camera silent' }
  await new Gaps(folders.gaps).append(gap)
  assert.deepEqual(await gaps(), [gap])

  const garbage = join(folders.quarantine, 'Front_20250125_153045.mp4')
  await writeFile(garbage, 'garbage')
  await writeFile(`${garbage}.reason.txt`, 'it is garbage')
  await utimes(garbage, beganMs / 1000 + 7, beganMs / 1000 + 7)
  const unplayable = { ...gap, toMs: beganMs + 7000, reason: 'does not play: see data/quarantine' }
  assert.deepEqual(await gaps(), [gap, unplayable])
  await rm(garbage)

  const footageUntil = isoLocal(beganMs + 20_000)
  const said = async (updatedMs: number, pid = process.pid): Promise<unknown> => {
    const cameras = [
      { name: 'Front', footageUntil },
      { name: 'Side', footageUntil, gap: 'password rejected' },
      { name: 'Never', gap: 'camera silent' },
      { name: 'New' },
    ]
    const times = { startedAt: isoLocal(beganMs + 10_000), updatedAt: isoLocal(updatedMs) }
    const text = JSON.stringify({ pid, ...times, cameras })
    await writeFile(join(folders.status, 'recorder.json'), text)
    const [noted, ...open] = await gaps()
    assert.deepEqual(noted, gap)
    return open.map(({ camera, reason, fromMs, toMs }) => [
      ...[camera, reason, (fromMs - beganMs) / 1000, (toMs - beganMs) / 1000],
    ])
  }
  const failing = [
    ['Side', 'password rejected', 20, 60],
    ['Never', 'camera silent', 10, 60],
  ]
  assert.deepEqual(await said(nowMs - 1000), failing)
  const down = [['Front', 'recorder down', 20, 60], ...failing]
  assert.deepEqual(await said(nowMs - 30_000), down)
  assert.deepEqual(await said(nowMs - 1000, 999_999_999), down)
  assert.deepEqual(await new KnownFootage(folders, nowMs).cameras(), ['Front', 'Never', 'Side'])
})
