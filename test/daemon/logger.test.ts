import assert from 'node:assert/strict'
import {
  lstatSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { systemClock, type Clock } from '../../src/daemon/clock.ts'
import { LogFile } from '../../src/daemon/log-file.ts'
import { createLog, describeError, formatLine } from '../../src/daemon/logger.ts'
import { Redactor } from '../../src/daemon/redact.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const at = (time: string): Clock => ({ ...systemClock, now: () => new Date(time).getTime() })

test('a line has the form that Loguru gave it', () => {
  const line = formatLine(
    new Date(2025, 0, 25, 15, 30, 45, 123).getTime(),
    'INFO',
    'Front: recording started',
  )
  assert.equal(line, '2025-01-25 15:30:45.123 | INFO     | Front: recording started\n')
})

test('a line holds the camera, the sentence and the fields, and no secret', async (t) => {
  const folder = await temporaryFolder(t)
  const redactor = new Redactor()
  redactor.add('geheim')
  const options = {
    folder,
    daemon: 'recorder',
    retentionDays: 14,
    maxBytes: 1e8,
    level: 'INFO',
    format: 'text',
  } as const
  const log = createLog(options, redactor, systemClock)
  log.info(
    { camera: 'Front', file: 'a.mp4', seconds: 2.5, reason: 'was geheim, so' },
    'segment finished',
  )
  log.debug({}, 'not at this level')
  log.error({ error: new Error('outer', { cause: new Error('inner\nline') }) }, 'failed')
  const lines = readFileSync(join(folder, 'recorder.log'), 'utf8').trim().split('\n')
  assert.equal(lines.length, 2)
  assert.match(
    lines[0] ?? '',
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \| INFO {5}\| Front: segment finished \(file=a\.mp4, seconds=2\.5, reason="was \*\*\*, so"\)$/,
  )
  assert.match(lines[1] ?? '', /\| ERROR {4}\| failed \(error="outer: inner ⏎ line"\)$/)
})

test('LOG_FORMAT=json writes one JSON object a line', async (t) => {
  const folder = await temporaryFolder(t)
  const options = {
    folder,
    daemon: 'uploader',
    retentionDays: 14,
    maxBytes: 1e8,
    level: 'INFO',
    format: 'json',
  } as const
  createLog(options, new Redactor(), systemClock).warn({ file: 'a.mp4' }, 'retrying')
  const line = JSON.parse(readFileSync(join(folder, 'uploader.log'), 'utf8')) as Record<
    string,
    unknown
  >
  assert.deepEqual(
    [line.level, line.daemon, line.file, line.msg],
    [40, 'uploader', 'a.mp4', 'retrying'],
  )
})

test('a new day begins a new file, the link follows, and old files go', async (t) => {
  const folder = await temporaryFolder(t)
  let clock = at('2025-01-25T23:59:59')
  const log = new LogFile(
    { folder, daemon: 'recorder', retentionDays: 14, maxBytes: 1e8 },
    { ...clock, now: () => clock.now() },
  )
  for (const [name, date] of [
    ['recorder_2025-01-01_00-00-00.log', '2025-01-01'],
    ['recorder_2025-01-20_00-00-00.log', '2025-01-20'],
    ['other.log', '2025-01-01'],
  ] as const) {
    writeFileSync(join(folder, name), '')
    utimesSync(join(folder, name), new Date(date), new Date(date))
  }
  log.append('one\n')
  clock = at('2025-01-26T00:00:01')
  log.append('two\n')
  assert.deepEqual(readdirSync(folder).sort(), [
    'other.log',
    'recorder.log',
    'recorder_2025-01-20_00-00-00.log',
    'recorder_2025-01-25_23-59-59.log',
    'recorder_2025-01-26_00-00-01.log',
  ])
  assert.equal(readlinkSync(join(folder, 'recorder.log')), 'recorder_2025-01-26_00-00-01.log')
})

for (const [way, from, to] of [
  ['from 1970 to now', '1970-01-01T00:00:20', '2025-01-25T12:00:00'],
  ['far ahead', '2025-01-25T12:00:00', '2035-01-25T12:00:00'],
] as const)
  test(`a clock that jumps ${way} deletes no log that is young`, async (t) => {
    const folder = await temporaryFolder(t)
    const yesterday = 'recorder_2025-01-24_00-00-00.log'
    writeFileSync(join(folder, yesterday), '')
    const written = new Date('2025-01-24T23:59:00')
    utimesSync(join(folder, yesterday), written, written)
    let clock = at(from)
    const options = { folder, daemon: 'recorder', retentionDays: 14, maxBytes: 1e8 }
    const log = new LogFile(options, { ...systemClock, now: () => clock.now() })
    log.append('before\n')
    const first = readlinkSync(join(folder, 'recorder.log'))
    // As the kernel would have dated it.
    utimesSync(join(folder, first), new Date(from), new Date(from))
    clock = at(to)
    log.append('after\n')
    const kept = readdirSync(folder).filter((name) => name !== 'recorder.log')
    assert.deepEqual(kept.length, 3, String(kept))
    assert.equal(statSync(join(folder, first)).mtimeMs, clock.now())
  })

test('all logs together stay below their limit: the oldest go, never one that is being written', async (t) => {
  const folder = await temporaryFolder(t)
  const write = (name: string, day: number): void => {
    writeFileSync(join(folder, name), 'x'.repeat(300))
    const written = new Date(2025, 0, day)
    utimesSync(join(folder, name), written, written)
  }
  write('uploader_2025-01-10_00-00-00.log', 10)
  symlinkSync('uploader_2025-01-10_00-00-00.log', join(folder, 'uploader.log'))
  write('recorder_2025-01-20_00-00-00.log', 20)
  write('uploader_2025-01-21_00-00-00.log', 21)
  write('notes.txt', 1)
  let now = new Date(2025, 0, 25).getTime()
  const options = { folder, daemon: 'recorder', retentionDays: 100, maxBytes: 1000 }
  const log = new LogFile(options, { ...systemClock, now: () => (now += 1000) })
  for (let n = 0; n < 40; n += 1) log.append('as long a line as a log may well have\n')
  const names = readdirSync(folder)
  const bytes = names.map((name) => lstatSync(join(folder, name)).size)
  assert.ok(names.includes('notes.txt') && names.includes('uploader_2025-01-10_00-00-00.log'))
  assert.ok(!names.some((name) => /_2025-01-2[01]_/.test(name)), String(names))
  assert.ok(names.filter((name) => name.startsWith('recorder_')).length >= 2, String(names))
  assert.ok(bytes.reduce((a, b) => a + b) < 1000 + 300 + 100, String(bytes))
  assert.match(readFileSync(join(folder, 'recorder.log'), 'utf8'), /as long a line/)
})

test('an error is told down to its first cause', () => {
  assert.equal(describeError(new Error('a', { cause: new Error('b', { cause: 'c' }) })), 'a: b: c')
})
