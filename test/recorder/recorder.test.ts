import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { startRtspCamera, type CameraOptions, type RtspCamera } from '../../demo/rtsp-camera.ts'
import { readEnvironment } from '../../src/daemon/environment.ts'
import { OpenFiles } from '../../src/daemon/open-files.ts'
import { canary } from '../support/canaries.ts'
import { cachedClip } from '../support/clips.ts'
import { flvCamera } from '../support/flv-camera.ts'
import { brokenPlaces, frameCounters } from '../support/frame-counter.ts'
import { startDaemon, type RunningDaemon } from '../support/running-daemon.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { finalizedIn, probed, recordings, secondsBetweenTries, secondsOf } from './recordings.ts'

/** Seconds, for a test that wants no segment to end of itself: none does but at midnight. */
const oneSegment = 86_400

async function camera(t: TestContext, options: Partial<CameraOptions> = {}): Promise<RtspCamera> {
  const credentials = { user: 'operator', password: canary() }
  const running = await startRtspCamera({ clip: await cachedClip(), ...credentials, ...options })
  t.after(async () => running.close())
  return running
}

async function recorder(
  t: TestContext,
  url: string,
  settings: Record<string, string | number> = {},
): Promise<{ daemon: RunningDaemon; folder: string }> {
  const folder = await temporaryFolder(t)
  const daemon = await startDaemon(t, 'recorder', folder, {
    CAMERA_1_URL: url,
    CAMERA_1_NAME: 'Front',
    SEGMENT_DURATION: 2,
    STALL_SECONDS: 3,
    ...settings,
  })
  return { daemon, folder }
}

/** The PIDs of the FFmpegs of this installation: they hold the camera's lock. */
async function ffmpegs(folder: string): Promise<number[]> {
  const { runFolder } = readEnvironment({ ENV_FILE: join(folder, '.env') })
  const holders = await new OpenFiles().at([join(runFolder, 'camera-Front.lock')])
  return [...new Set(holders?.map(({ pid }) => pid))]
}

/** The one FFmpeg that records now, for a test that is about to signal it. */
async function ffmpegPid(folder: string): Promise<number> {
  const pids = await ffmpegs(folder)
  assert.equal(pids.length, 1, `FFmpegs: ${pids.join(' ')}`)
  return pids[0]!
}

async function countersOf(files: string[]): Promise<number[]> {
  const lists = await Promise.all(files.map(frameCounters))
  return lists.flat()
}

/** What the recorder said is shown beside what is missing. */
function assertConsecutive(counters: number[], { lines }: RunningDaemon): void {
  assert.ok(counters.length > 0)
  const broken = brokenPlaces(counters)
  assert.ok(broken.length === 0, `${broken.join(', ')} in:\n${lines.join('\n')}`)
}

// The tests mostly wait for a camera, so that several at a time cost no more than one.
describe('the recorder', { concurrency: 5 }, () => {
  test('no frame is missing or twice across segments, and a stop finishes the last one', async (t) => {
    const source = await camera(t)
    const { daemon, folder } = await recorder(t, source.url, { LOG_LEVEL: 'DEBUG' })
    await daemon.line(/recording started/)
    for (let segments = 0, from = 0; segments < 3; segments += 1) {
      await daemon.line(/segment finished/, { from })
      from = daemon.lines.findLastIndex((line) => line.includes('segment finished')) + 1
    }
    assert.equal(await daemon.stop(), 0)
    const files = recordings(folder)
    assert.ok(files.length >= 4, String(files.length))
    assertConsecutive(await countersOf(files), daemon)
    assert.deepEqual(readdirSync(join(folder, 'recordings', 'open')), [])
    assert.deepEqual(await ffmpegs(folder), [])
  })

  test('picture and sound are on the disk within two seconds, and in every file', async (t) => {
    const source = await camera(t)
    const { daemon, folder } = await recorder(t, source.url, { SEGMENT_DURATION: oneSegment })
    await daemon.line(/recording started/)
    const started = performance.now()
    await openSegmentGrowsTo(folder, 100_000)
    assert.ok(performance.now() - started < 2000, `after ${performance.now() - started} ms`)
    await daemon.stop()
    const [picture = 0, sound = 0] = await packetCounts(recordings(folder)[0] ?? '')
    // 25 frames a second, and as many times 1024 samples as 16 kHz are.
    assert.ok(Math.abs(sound / picture - 16_000 / 1024 / 25) < 0.1, `${picture}, ${sound} packets`)
  })

  test('G.711 becomes AAC; HEVC is tagged for Apple players; a metadata track does not disturb', async (t) => {
    const clip = await cachedClip({ video: 'hevc', audio: 'pcma', durationSeconds: 4 })
    const source = await camera(t, { clip, metadataTrack: true })
    const { daemon, folder } = await recorder(t, source.url)
    await daemon.line(/segment finished/)
    await daemon.stop()
    const [file = ''] = await finalizedIn(folder)
    const streams = await probed(file, 'stream=codec_name,codec_tag_string')
    assert.deepEqual(streams, ['hevc,hvc1', 'aac,mp4a'])
  })

  test('a camera without audio, or with audio switched off, is recorded without', async (t) => {
    const source = await camera(t)
    const { daemon, folder } = await recorder(t, source.url, { CAMERA_1_AUDIO: 'none' })
    await daemon.line(/segment finished/)
    await daemon.stop()
    assert.deepEqual(await probed(recordings(folder)[0] ?? '', 'stream=codec_type'), ['video'])
  })

  test('a frame a second beside sound is a second long, from the first on', async (t) => {
    const clip = await cachedClip({ fps: 1, audio: 'pcma' })
    const source = await camera(t, { clip })
    const { daemon, folder } = await recorder(t, source.url, { SEGMENT_DURATION: oneSegment })
    await daemon.line(/recording started/)
    const from = source.frameNow
    while (source.frameNow <= from + 5) await sleep(100)
    await daemon.stop()
    const streams = await probed(recordings(folder)[0] ?? '', 'packet=codec_type,dts_time')
    const times = streams
      .filter((line) => line.startsWith('video'))
      .map((line) => line.split(',')[1])
    assert.ok(times.length >= 4, String(times))
    for (const [n, time] of times.slice(1).entries())
      assert.ok(Math.abs(Number(time) - Number(times[n]) - 1) < 0.1, String(times))
  })

  test('a killed FFmpeg is replaced at once, and its file plays to the last second', async (t) => {
    const source = await camera(t)
    const { daemon, folder } = await recorder(t, source.url, { SEGMENT_DURATION: oneSegment })
    await daemon.line(/recording started/)
    const pid = await ffmpegPid(folder)
    await openSegmentGrowsTo(folder, 300_000)
    process.kill(pid, 'SIGKILL')
    const again = await daemon.line(/recording started .*tries/)
    const died = await daemon.line(/not recording .*SIGKILL/)
    assert.ok(timeOf(again) - timeOf(died) < 4000, `${died}\n${again}`)
    await daemon.stop()
    const [first = '', second = ''] = recordings(folder)
    assertConsecutive(await countersOf([first]), daemon)
    assertConsecutive(await countersOf([second]), daemon)
  })

  test('an FFmpeg never outlives a recorder that is killed', async (t) => {
    const source = await camera(t)
    const { daemon, folder } = await recorder(t, source.url, { SEGMENT_DURATION: oneSegment })
    await daemon.line(/recording started/)
    const pid = await ffmpegPid(folder)
    await openSegmentGrowsTo(folder, 200_000)
    daemon.process.kill('SIGKILL')
    await processGone(pid)
    assert.deepEqual(await ffmpegs(folder), [])
    const next = await startDaemon(t, 'recorder', folder, {
      CAMERA_1_URL: source.url,
      CAMERA_1_NAME: 'Front',
    })
    await next.line(/segment of an earlier run finished/)
    await next.stop()
    assertConsecutive(await countersOf(recordings(folder).slice(0, 1)), daemon)
  })

  test('an orphaned FFmpeg that a silent camera keeps from ending is ended by the next recorder', async (t) => {
    const source = await camera(t)
    const settings = { SEGMENT_DURATION: oneSegment, STALL_SECONDS: 60 }
    const { daemon, folder } = await recorder(t, source.url, settings)
    await daemon.line(/recording started/)
    const pid = await ffmpegPid(folder)
    source.faults.silent = true
    process.kill(pid, 'SIGSTOP')
    daemon.process.kill('SIGKILL')
    await daemon.ended
    source.faults.silent = false
    const next = await startDaemon(t, 'recorder', folder, {
      CAMERA_1_URL: source.url,
      CAMERA_1_NAME: 'Front',
      ...settings,
    })
    await next.line(/an earlier FFmpeg still records; ending it/)
    await next.line(/recording started/)
    assert.equal((await ffmpegs(folder)).length, 1)
    assert.ok(!(await ffmpegs(folder)).includes(pid))
    await next.stop()
  })

  test('a camera that sends another codec is recorded at once', async (t) => {
    const source = await camera(t)
    const { daemon, folder } = await recorder(t, source.url)
    await daemon.line(/recording started/)
    source.setClip(await cachedClip({ video: 'hevc', audio: 'pcmu', durationSeconds: 4 }))
    source.disconnectAll()
    await daemon.line(/recording started \(video=hevc.*audio=pcm_mulaw/)
    const finished = await daemon.line(/segment finished/, { from: daemon.lines.length })
    await daemon.stop()
    // The last one may be a frame long, without any sound yet.
    const name = /file=([^,]+)/.exec(finished)?.[1] ?? ''
    const file = (await finalizedIn(folder)).find((path) => path.endsWith(name)) ?? ''
    assert.deepEqual(await probed(file, 'stream=codec_name'), ['hevc', 'aac'])
  })

  const refusals: [string, (source: RtspCamera) => void, RegExp][] = [
    [
      'rejects the password',
      (source) => (source.faults.unauthorized = true),
      /rejects the user or password: check CAMERA_1_URL.*nextTrySeconds=(59|[67]\d)/,
    ],
    [
      'does not know the path',
      (source) => (source.faults.notFound = true),
      /no stream \/Preview_01_main: .*Reolink/,
    ],
    [
      'refuses the connection',
      (source) => (source.faults.refuseConnections = true),
      /127\.0\.0\.1:\d+ refuses the connection/,
    ],
  ]

  for (const [title, fail, expected] of refusals)
    test(`a camera that ${title} gets one clear line`, async (t) => {
      const source = await camera(t)
      fail(source)
      const { daemon } = await recorder(t, source.url)
      await daemon.line(expected)
      await daemon.stop()
      assert.equal(daemon.lines.filter((line) => line.includes('not recording')).length, 1)
    })

  test('a camera that comes back is recorded again, and the log says how long it was away', async (t) => {
    const source = await camera(t)
    const { daemon } = await recorder(t, source.url)
    await daemon.line(/recording started/)
    source.faults.refuseConnections = true
    source.disconnectAll()
    await daemon.line(/not recording .*(closed|refuses) the connection/)
    source.faults.refuseConnections = false
    await daemon.line(/recording started .*tries/)
    await daemon.stop()
  })

  test('over UDP no frame is missing either', async (t) => {
    const source = await camera(t)
    const { daemon, folder } = await recorder(t, source.url, { CAMERA_1_TRANSPORT: 'udp' })
    await daemon.line(/segment finished/)
    await daemon.stop()
    assertConsecutive(await countersOf(recordings(folder)), daemon)
  })

  test('two installations never record into the same folder', async (t) => {
    const source = await camera(t)
    const { daemon, folder } = await recorder(t, source.url)
    await daemon.line(/recording started/)
    const other = await temporaryFolder(t)
    const second = await startDaemon(t, 'recorder', other, {
      CAMERA_1_URL: source.url,
      BASE_DIR: folder,
    })
    assert.equal(await second.ended, 1)
    assert.match(second.lines.join('\n'), /another ENV_FILE works in the same BASE_DIR/)
    await daemon.stop()
  })

  test('a camera that drops out again and again is tried less and less often', async (t) => {
    const source = await camera(t)
    const { daemon } = await recorder(t, source.url, {
      SEGMENT_DURATION: oneSegment,
      LOG_LEVEL: 'DEBUG',
    })
    const ends: string[] = []
    for (let from = 0; ends.length < 3; from = daemon.lines.length) {
      await daemon.line(/recording started/, { from })
      source.disconnectAll()
      ends.push(await daemon.line(/recording ended/, { from }))
    }
    await daemon.stop()
    const [second = 0, third = 0] = secondsBetweenTries(ends)
    assert.ok(second > 2.8 && third > 5.8, ends.join('\n'))
  })

  test('a camera on HTTP-FLV is recorded, with its password in the query', async (t) => {
    const url = await flvCamera(t)
    const { daemon, folder } = await recorder(t, url, { LOG_LEVEL: 'DEBUG' })
    await daemon.line(/segment finished/)
    await daemon.stop()
    assert.ok(recordings(folder).length > 0)
  })

  test('a picture that changes on HTTP-FLV is divided with its own parameter sets', async (t) => {
    if ((await ffmpegMajor()) < 7) return t.skip('FFmpeg 5 drops them')
    const url = await flvCamera(t, ['320x180', '640x360', '320x180'], 4)
    const { daemon, folder } = await recorder(t, url, { SEGMENT_DURATION: oneSegment })
    await daemon.line(/not recording/)
    await daemon.stop()
    const seen: string[] = []
    for (const file of await finalizedIn(folder)) {
      const [width] = await probed(file, 'stream=width')
      // A frame with side data has a comma behind it.
      const frames = (await probed(file, 'frame=width')).map((line) => line.replace(',', ''))
      assert.deepEqual([...new Set(frames)], [width], file)
      seen.push(`${width} ${frames.length}`)
    }
    assert.match(seen.join(), /^320 \d+,640 40,320 40$/)
  })

  test('with VIDEO_CODEC=h264 the picture is encoded anew, at the height asked for', async (t) => {
    const clip = await cachedClip({ video: 'hevc', audio: 'pcma', durationSeconds: 4 })
    const settings = { VIDEO_CODEC: 'h264', VIDEO_HEIGHT: 180, VIDEO_BITRATE: '300k' }
    const { daemon, folder } = await recorder(t, (await camera(t, { clip })).url, settings)
    await daemon.line(/segment finished/)
    await daemon.line(/segment finished/, { from: daemon.lines.length })
    await daemon.stop()
    const [file = ''] = (await finalizedIn(folder)).slice(-1)
    assert.deepEqual(await probed(file, 'stream=codec_name,height'), ['h264,180', 'aac'])
  })

  test('time stamps that jump cost neither a frame nor a restart, and every file lasts as long as it did', async (t) => {
    const source = await camera(t)
    const { daemon, folder } = await recorder(t, source.url)
    await daemon.line(/segment finished/)
    for (const jumpMs of [3_600_000, -7_200_000, 5000, -5000, -500]) {
      const from = daemon.lines.length
      source.timestampJumpMs(jumpMs)
      await daemon.line(/segment finished/, { from })
    }
    await daemon.stop()
    assert.ok(!daemon.lines.some((line) => /not recording/.test(line)), daemon.lines.join('\n'))
    const files = await finalizedIn(folder)
    assertConsecutive(await countersOf(files), daemon)
    for (const file of files) {
      const frames = (await frameCounters(file)).length
      const seconds = await secondsOf(file)
      assert.ok(Math.abs(seconds - frames / 25) < 0.6, `${frames} frames in ${seconds} s`)
    }
  })

  test('an unknown host gets one clear line', async (t) => {
    const { daemon } = await recorder(t, 'rtsp://camera.invalid/1')
    await daemon.line(/no such host as camera\.invalid: check CAMERA_1_URL/)
    await daemon.stop()
  })

  test('a later signal ends the recorder at once, even while a silent camera holds its FFmpeg', async (t) => {
    const source = await camera(t)
    const { daemon, folder } = await recorder(t, source.url, { STALL_SECONDS: 60 })
    await daemon.line(/recording started/)
    const pid = await ffmpegPid(folder)
    process.kill(pid, 'SIGSTOP')
    const started = performance.now()
    const impatience = setInterval(() => daemon.process.kill('SIGTERM'), 200)
    assert.equal(await daemon.ended, 1)
    clearInterval(impatience)
    process.kill(pid, 'SIGKILL')
    const ms = performance.now() - started
    assert.ok(ms > 1000 && ms < 3500, `ended after ${ms} ms`)
  })

  test('two signals at once, as npm and a terminal send them, end the recorder in order', async (t) => {
    const source = await camera(t)
    const { daemon, folder } = await recorder(t, source.url)
    await daemon.line(/recording started/)
    daemon.process.kill('SIGINT')
    daemon.process.kill('SIGTERM')
    assert.equal(await daemon.ended, 0)
    assert.deepEqual(readdirSync(join(folder, 'recordings', 'open')), [])
  })

  test('a stop takes less than eight seconds even when a camera has fallen silent', async (t) => {
    const source = await camera(t)
    const settings = { STALL_SECONDS: 60, SEGMENT_DURATION: oneSegment }
    const { daemon, folder } = await recorder(t, source.url, settings)
    await daemon.line(/recording started/)
    await openSegmentGrowsTo(folder, 200_000)
    source.faults.silent = true
    const started = performance.now()
    assert.equal(await daemon.stop(), 0)
    assert.ok(performance.now() - started < 8000)
    assertConsecutive(await countersOf(recordings(folder).slice(0, 1)), daemon)
  })

  test('video that stops while the sound goes on is noticed, and the camera is recorded on its return', async (t) => {
    const source = await camera(t)
    const { daemon } = await recorder(t, source.url, { SEGMENT_DURATION: oneSegment })
    await daemon.line(/recording started/)
    source.faults.videoStops = true
    await daemon.line(/stalled: no new video/, { withinMs: 40_000 })
    source.faults.videoStops = false
    await daemon.line(/recording started .*tries/)
    await daemon.stop()
  })
})

/** How many packets each stream of a file has. */
async function packetCounts(file: string): Promise<number[]> {
  const args = ['-v', 'error', '-count_packets', '-show_entries', 'stream=nb_read_packets']
  const { stdout } = await promisify(execFile)('ffprobe', [...args, '-of', 'csv=p=0', file])
  return stdout.trim().split('\n').map(Number)
}

async function ffmpegMajor(): Promise<number> {
  const { stdout } = await promisify(execFile)('ffmpeg', ['-version'])
  return Number(/version n?(\d+)/.exec(stdout)?.[1])
}

function timeOf(line: string): number {
  return Date.parse(line.slice(0, 23))
}

/** Waits for the segment that is being written, by whatever name it has at the moment. */
async function openSegmentGrowsTo(folder: string, bytes: number): Promise<void> {
  const open = join(folder, 'recordings', 'open')
  for (;;) {
    const [file = ''] = readdirSync(open)
    const stats = await stat(join(open, file)).catch(() => undefined)
    if (stats?.isFile() && stats.size >= bytes) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function processGone(pid: number): Promise<void> {
  while (existsSync(`/proc/${pid}`)) await new Promise((resolve) => setTimeout(resolve, 20))
}
