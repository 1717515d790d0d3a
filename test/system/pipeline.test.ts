import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { crc32 } from 'node:zlib'
import { startRtspCamera } from '../../demo/rtsp-camera.ts'
import { probeMedia } from '../../src/uploader/media-probe.ts'
import { readBoxes } from '../../src/uploader/mp4-boxes.ts'
import type { LedgerLine } from '../../src/uploader/ledger.ts'
import { cachedClip } from '../support/clips.ts'
import { brokenPlaces, frameCounters } from '../support/frame-counter.ts'
import { startInstallation, until, type Installation } from './installation.ts'

const segmentSeconds = 4

test('two cameras are recorded and shipped without a frame missing, and each object is as promised', async (t) => {
  const { installation } = await startTwoCameras(t)
  const start = await installation.run('start.sh')
  assert.match(start.output, /Front +recording +h264 640x360 25 fps, aac/)
  assert.match(start.output, /Back_Yard +recording +h264 640x360 25 fps, pcm_mulaw/)
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
  await assertRetention(installation)
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
  assert.match(started, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$/)
  assert.equal(started.slice(0, 19).replaceAll(/[-:]/g, ''), `${date}T${time}`)

  const verdict = await probeMedia('ffprobe', path, AbortSignal.timeout(10_000))
  assert.ok('playable' in verdict)
  const seconds = verdict.playable.durationSeconds
  assert.ok(Math.abs(Number(header('x-amz-meta-duration-seconds')) - seconds) < 0.01)
  // A cut waits for the next keyframe, one a second.
  assert.ok(seconds > 0 && seconds < segmentSeconds + 2, String(seconds))
  const boxes = (await readBoxes(path)).map(({ type }) => type)
  assert.ok(boxes.indexOf('moov') < boxes.indexOf('mdat') && !boxes.includes('moof'), String(boxes))
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
  const days = readdirSync(folders.ledger).filter((name) => name.endsWith('.ndjson'))
  return days
    .flatMap((day) => readFileSync(join(folders.ledger, day), 'utf8').trim().split('\n'))
    .map((json) => JSON.parse(json) as LedgerLine)
    .filter((line) => line.camera === camera)
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
