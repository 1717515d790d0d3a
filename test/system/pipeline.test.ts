import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { crc32 } from 'node:zlib'
import { startRtspCamera } from '../../demo/rtsp-camera.ts'
import { projectRoot } from '../../src/daemon/environment.ts'
import { isoLocal } from '../../src/daemon/local-time.ts'
import { readBoxes } from '../../src/mp4/boxes.ts'
import type { LedgerLine } from '../../src/uploader/ledger.ts'
import { probed } from '../recorder/recordings.ts'
import { cachedClip } from '../support/clips.ts'
import { brokenPlaces, frameCounters } from '../support/frame-counter.ts'
import { journalLines } from '../support/journal-lines.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { runScript, startInstallation, until, type Installation } from './installation.ts'

const segmentSeconds = 4

test('two cameras are recorded and shipped without a frame missing, and each object is as promised', async (t) => {
  const { installation } = await startTwoCameras(t)
  const start = await installation.run('start.sh')
  assert.match(start.output, /Front +recording +h264 640x360, aac/)
  assert.match(start.output, /Back_Yard +recording +h264 640x360, pcm_mulaw/)
  await until(60_000, 'four whole segments of each camera are in the ledger', () =>
    ['Front', 'Back_Yard'].every((camera) => ledger(installation, camera).length >= 5),
  )
  const stop = await installation.run('stop.sh')
  assert.equal(stop.code, 0, stop.output)
  assert.deepEqual(installation.processes(), [])

  for (const camera of ['Front', 'Back_Yard']) {
    const counters = await Promise.all(everyFile(installation, camera).map(frameCounters))
    assert.deepEqual(brokenPlaces(counters.flat()), [], camera)
    const lines = ledger(installation, camera)
    assert.deepEqual(
      lines.map(({ file }) => file).sort(),
      mp4Files(installation.folders.uploaded).filter((file) => file.startsWith(camera)),
    )
    for (const line of lines) await assertAsPromised(installation, line)
  }
  await assertLookedBack(t, installation)
  await assertRetention(installation)
  await assertOnlyInStore(t, installation)
})

async function startTwoCameras(t: TestContext): Promise<{ installation: Installation }> {
  const { installation } = await startInstallation(t)
  const camera = await startRtspCamera({ clip: await cachedClip({ audio: 'pcmu' }) })
  t.after(async () => camera.close())
  Object.assign(installation.settings, {
    CAMERA_2_URL: camera.url,
    CAMERA_2_NAME: 'Back Yard',
    SEGMENT_DURATION: segmentSeconds,
  })
  await installation.configure()
  return { installation }
}

async function assertAsPromised({ folders, settings }: Installation, line: LedgerLine) {
  const path = join(folders.uploaded, line.file)
  const content = readFileSync(path)
  const sum = crc32(content).toString(16).padStart(8, '0')
  const [, date = '', time = ''] = /_(\d{8})_(\d{6})\.mp4$/.exec(line.file) ?? []
  const folder = `${date.slice(0, 4)}/${date.slice(4, 6)}/${date.slice(6)}`
  assert.equal(line.key, `recordings/${folder}/${line.file}`)
  assert.deepEqual([line.bytes, line.crc32], [content.length, sum])

  const response = await fetch(`${settings.S3_ENDPOINT}/${settings.S3_BUCKET_NAME}/${line.key}`)
  assert.equal(response.status, 200)
  assert.equal(sha256(Buffer.from(await response.arrayBuffer())), sha256(content))
  const header = (name: string): string | null => response.headers.get(name)
  assert.equal(header('content-type'), 'video/mp4')
  assert.equal(header('content-disposition'), 'inline')
  assert.equal(header('cache-control'), 'max-age=31536000')
  assert.equal(header('x-amz-meta-camera'), line.file.replace(/_\d{8}_\d{6}\.mp4$/, ''))
  assert.equal(header('x-amz-meta-video-codec'), 'h264')
  assert.equal(header('x-amz-meta-audio-codec'), 'aac')
  assert.equal(header('x-amz-meta-size'), String(content.length))
  assert.equal(header('x-amz-meta-crc32'), sum)
  const started = header('x-amz-meta-start') ?? ''
  assert.match(started, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d$/)
  assert.equal(started.slice(0, 19).replaceAll(/[-:]/g, ''), `${date}T${time}`)

  const seconds = Number(header('x-amz-meta-duration-seconds'))
  const [picture, sound] = (await probed(path, 'stream=duration')).map(Number)
  assert.ok(picture && Math.abs(seconds - picture) < 0.01, `${seconds} of ${picture}`)
  // Two packets of AAC at 8 kHz.
  assert.ok(sound && Math.abs(sound - picture) < 0.256, `${sound} beside ${picture}`)
  // A cut waits for the next keyframe, one a second.
  assert.ok(seconds > 0 && seconds < segmentSeconds + 2, String(seconds))
  const boxes = (await readBoxes(path)).map(({ type }) => type)
  assert.ok(boxes.indexOf('moov') < boxes.indexOf('mdat') && !boxes.includes('moof'), String(boxes))
}

/** Where each moment is, on the disk and in S3, and that nothing is missing but what comes after the stop. */
async function assertLookedBack(t: TestContext, installation: Installation): Promise<void> {
  const coverage = await installation.run('coverage.sh', '--verify')
  assert.equal(coverage.code, 1, coverage.output)
  assert.match(coverage.output, /^Front +\d+\.\d% {2}\|[ █▒!·]{96}\|$/m)
  assert.match(coverage.output, /^S3 holds \d+ files of this as uploaded; none is missing\.$/m)
  const json = await installation.run('coverage.sh', '--json', '--camera', 'Front')
  const { days } = JSON.parse(json.output) as {
    days: { camera: string; missing: { reason: string | null }[] }[]
  }
  assert.deepEqual(
    days.map(({ camera, missing }) => [camera, missing.map(({ reason }) => reason)]),
    [['Front', ['recorder down']]],
  )

  const [, second, third] = ledger(installation, 'Front')
  assert.ok(second && third)
  // Whole seconds are asked for, and a start is in milliseconds.
  const [startMs, untilMs] = [Date.parse(second.start), Date.parse(third.start) + 1000]
  const atMs = Math.ceil(startMs / 1000 + 1) * 1000
  const offset = (atMs - startMs) / 1000
  const found = await find(installation, ['--at', isoLocal(atMs), '--camera', 'Front', '--json'])
  const [first, ...others] = JSON.parse(found) as Record<string, string | number>[]
  assert.ok(first)
  assert.deepEqual([others, first.key, first.offsetSeconds], [[], second.key, offset])
  assert.equal(first.path, join(installation.folders.uploaded, second.file))
  const played = await fetch(String(first.url))
  assert.equal(Buffer.from(await played.arrayBuffer()).length, second.bytes)
  assert.match(String(first.url), /X-Amz-Expires=3600&.*#t=\d\.\d$/)
  assert.ok(String(first.url).endsWith(`#t=${offset.toFixed(1)}`))
  const text = await find(installation, ['--at', isoLocal(atMs), '--expires', '2d'])
  assert.match(
    text,
    new RegExp(`^Front  ${second.file}, from 0:0${Math.floor(offset)} \\(it lasts 0:0\\d\\)$`, 'm'),
  )
  assert.match(text, /X-Amz-Expires=172800/)
  // Nobody reads it.
  const unread = spawnSync(
    'bash',
    ['-c', '"$0" | true', join(projectRoot, 'scripts', 'coverage.sh')],
    {
      env: { ...process.env, ENV_FILE: installation.envFile },
      encoding: 'utf8',
    },
  )
  assert.equal(unread.stderr, '')

  const clip = join(await temporaryFolder(t), 'clip.mp4')
  const span = ['--camera', 'Front', '--at', isoLocal(atMs), '--until', isoLocal(untilMs)]
  assert.match(await find(installation, [...span, '--clip', clip]), /saved .*clip\.mp4: 2 files/)
  const counters = await frameCounters(clip)
  assert.deepEqual(brokenPlaces(counters), [])
  const seconds = (untilMs - atMs) / 1000
  // It begins with the keyframe before, one a second.
  const moreSeconds = counters.length / 25 - seconds
  assert.ok(moreSeconds > -0.1 && moreSeconds < 1.1, `${counters.length} frames, ${seconds} s`)
}

/** What is only in S3 can be had from there; what is gone from there is told. */
async function assertOnlyInStore(t: TestContext, installation: Installation): Promise<void> {
  const [, line] = ledger(installation, 'Front')
  assert.ok(line)
  const folder = await temporaryFolder(t)
  const at = ['--at', line.start, '--camera', 'Front', '--download', folder]
  assert.match(await find(installation, at), /saved .*\.mp4/)
  const saved = await readFile(join(folder, line.file))
  assert.equal(crc32(saved).toString(16).padStart(8, '0'), line.crc32)
  assert.match(await find(installation, at), /is there already/)

  const { pathname } = new URL(String(installation.settings.S3_ENDPOINT))
  assert.equal(pathname, '/')
  const stored = join(installation.folders.base, '..', 's3', 'test-footage', line.key)
  await rm(`${stored}._S3rver_object`)
  const coverage = await installation.run('coverage.sh', '--verify')
  assert.equal(coverage.code, 1)
  assert.match(
    coverage.output,
    /^Of \d+ files in S3 1 is not as uploaded:\n {2}test-footage\/.* is missing$/m,
  )
}

/** Not as the installation's own runs, which must tell no key: a URL that is signed names it. */
async function find({ envFile }: Installation, args: string[]): Promise<string> {
  const { code, output } = await runScript('find.sh', args, { ENV_FILE: envFile })
  assert.equal(code, 0, output)
  return output
}

/** Retention counts from the upload; what has outlived it is deleted here and stays in S3. */
async function assertRetention(installation: Installation): Promise<void> {
  const { folders, settings } = installation
  assert.ok(mp4Files(folders.uploaded).length > 0)
  await installation.configure({ LOCAL_RETENTION_HOURS: 0 })
  await installation.run('start.sh')
  await until(20_000, 'uploaded/ is empty', () => mp4Files(folders.uploaded).length === 0)
  await installation.run('stop.sh')
  const [line] = ledger(installation, 'Front')
  const url = `${settings.S3_ENDPOINT}/${settings.S3_BUCKET_NAME}/${line?.key}`
  assert.equal((await fetch(url, { method: 'HEAD' })).status, 200)
}

function ledger({ folders }: Installation, camera: string): LedgerLine[] {
  return journalLines<LedgerLine>(folders.ledger).filter((line) => line.camera === camera)
}

/** The files of a camera, wherever they are by now, in the order of their recording. */
function everyFile({ folders }: Installation, camera: string): string[] {
  return [folders.uploaded, folders.recordings]
    .flatMap((folder) => mp4Files(folder).map((file) => ({ folder, file })))
    .filter(({ folder, file }) => file.startsWith(camera) && statSync(join(folder, file)).size > 0)
    .sort((a, b) => (a.file < b.file ? -1 : 1))
    .map(({ folder, file }) => join(folder, file))
}

function mp4Files(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.mp4'))
    .sort()
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
