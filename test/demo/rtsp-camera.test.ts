import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { makeClip, type Clip } from '../../demo/clip.ts'
import { startRtspCamera, type CameraOptions } from '../../demo/rtsp-camera.ts'
import { brokenPlaces, frameCounters } from '../support/frame-counter.ts'
import { CHANNEL, RtspClient, type RtpPacket } from './rtsp-client.ts'

const folder = await mkdtemp(join(tmpdir(), 'rtsp-camera-'))
after(() => rm(folder, { recursive: true }))

// Two seconds, so that every recording passes the clip's end more than once.
const durationSeconds = 2
const [h264Aac, h264Pcmu, hevcAac] = await Promise.all([
  makeClip({ durationSeconds }, folder),
  makeClip({ durationSeconds, audio: 'pcmu' }, folder),
  makeClip({ durationSeconds, video: 'hevc', sampleRate: 44_100, gopSeconds: 0.4 }, folder),
])

async function startCamera(t: TestContext, options: Partial<CameraOptions> = {}) {
  const camera = await startRtspCamera({ clip: h264Aac, ...options })
  t.after(() => camera.close())
  return camera
}

async function run(command: string, args: string[]) {
  return promisify(execFile)(command, args, { timeout: 15_000, killSignal: 'SIGKILL' })
}

async function probeStreams(input: string): Promise<Record<string, unknown>[]> {
  const { stdout } = await run('ffprobe', ['-v', 'error', '-show_streams', '-of', 'json', input])
  return (JSON.parse(stdout) as { streams: Record<string, unknown>[] }).streams
}

async function audioTimestamps(file: string): Promise<number[]> {
  const wanted = ['-select_streams', 'a', '-show_entries', 'packet=pts', '-of', 'csv=p=0']
  const { stdout } = await run('ffprobe', ['-v', 'error', ...wanted, file])
  return (stdout.match(/-?\d+/g) ?? []).map(Number)
}

// FFmpeg's H.26x parser drops the first frame's timestamp when a source has no byte positions, as
// RTSP hasn't (ff_fetch_timestamp in libavcodec/parser.c): any camera brings these two complaints.
const FIRST_FRAME_COMPLAINTS = [
  /Timestamps are unset in a packet for stream 0/,
  /Non-monotonous DTS in output stream 0:0; previous: 0, current: 0; changing to 1/,
]

function complaintsIn(stderr: string): string[] {
  const lines = stderr.split('\n').filter(Boolean)
  return lines.filter((line) => !FIRST_FRAME_COMPLAINTS.some((known) => known.test(line)))
}

function steps(values: number[]): number[] {
  return values.slice(1).map((value, index) => value - values[index]!)
}

describe('a recording by FFmpeg', { concurrency: true }, () => {
  const h264 = { codec_name: 'h264', profile: 'Constrained Baseline', width: 640, height: 360 }
  const hevc = { codec_name: 'hevc', profile: 'Main', width: 640, height: 360 }
  const aac = (rate: string) => ({ codec_name: 'aac', sample_rate: rate, channels: 1 })
  // FFmpeg 7.1 would wait for a keyframe in the sound.
  const copied = ['-c', 'copy', '-copyinkf:a']
  const toAac = ['-c:v', 'copy', '-c:a', 'aac', '-b:a', '32k']
  const cases: [Clip, 'tcp' | 'udp', string[], object, object][] = [
    [h264Aac, 'tcp', copied, h264, aac('16000')],
    [h264Pcmu, 'tcp', toAac, h264, aac('8000')],
    [hevcAac, 'tcp', copied, hevc, aac('44100')],
    [h264Aac, 'udp', copied, h264, aac('16000')],
    [hevcAac, 'udp', copied, hevc, aac('44100')],
  ]
  for (const [clip, transport, codecs, picture, sound] of cases) {
    const name = `${clip.video.codec} and ${clip.audio?.codec} over ${transport}`
    test(`of ${name} has every frame once, in sync, without a complaint`, async (t) => {
      const camera = await startCamera(t, { clip, user: 'admin', password: 'p@ss/w:rd#1%' })
      const file = join(folder, `${name.replaceAll(' ', '-')}.mp4`)
      const input = ['-rtsp_transport', transport, '-timeout', '5000000', '-i', camera.url]
      const output = [...codecs, '-t', '6', file]
      const startedAtMs = performance.now()
      const { stderr } = await run('ffmpeg', ['-nostats', '-v', 'warning', ...input, ...output])
      const tookMs = performance.now() - startedAtMs

      assert.deepEqual(complaintsIn(stderr), [])
      const counters = await frameCounters(file)
      assert.deepEqual(brokenPlaces(counters), [])
      assert.ok(Math.abs(counters.length - 150) <= 3, `${counters.length} frames in 6 s`)
      assert.ok(tookMs > 5500 && tookMs < 12_000, `six seconds took ${tookMs} ms`)

      const [video = {}, audio = {}] = await probeStreams(file)
      assert.deepEqual({ ...video, ...picture, r_frame_rate: '25/1' }, video)
      assert.deepEqual({ ...audio, ...sound }, audio)
      const skew = Number(video['start_time']) - Number(audio['start_time'])
      assert.ok(Math.abs(skew) < 0.2, `video starts ${skew} s after audio`)
      // FFmpeg places audio by the sender reports, and rounds: a sample more or less at each.
      for (const step of steps(await audioTimestamps(file)).slice(0, -1)) {
        assert.ok(Math.abs(step - 1024) <= 1, `an audio frame of ${step} samples`)
      }
    })
  }
})

describe('a camera', { concurrency: true }, () => {
  test('wants a digest, and refuses a wrong password with 401', async (t) => {
    const camera = await startCamera(t, { user: 'admin', password: `it's p@ss/w:rd#1% "ü"` })
    assert.equal((await probeStreams(camera.url)).length, 2)
    await assert.rejects(probeStreams(camera.url.replace('rd%231', 'rd%232')), /401 Unauthorized/)
    const { status, text } = await (await RtspClient.connect(camera.url)).request('DESCRIBE')
    assert.equal(status, 401)
    assert.match(text, /WWW-Authenticate: Digest realm="[^"]+", nonce="[0-9a-f]+"/)
  })

  test('answers 404 for any path but its own', async (t) => {
    const camera = await startCamera(t, { path: '/cam/realmonitor?channel=1&subtype=0' })
    assert.equal((await probeStreams(camera.url)).length, 2)
    await assert.rejects(probeStreams(camera.url.replace('l=1', 'l=2')), /404 Not Found/)
  })

  test('sends frames whose RTP timestamps never break, not even at the end of its clip', async (t) => {
    const client = await RtspClient.play((await startCamera(t)).url)
    await client.moreFrames(110)
    assert.deepEqual(brokenPlaces(client.counters), [])
    const video = frameEnds(client.packets(CHANNEL.video))
    assert.deepEqual(new Set(timestampSteps(video)), new Set([3600]))
    assert.deepEqual(new Set(timestampSteps(client.packets(CHANNEL.audio))), new Set([1024]))
  })

  test('shows all clients the same live frames, each client from a keyframe on', async (t) => {
    const { url } = await startCamera(t)
    const first = await RtspClient.play(url)
    await first.moreFrames(30)
    const second = await RtspClient.play(url)
    await second.moreFrames(10)
    assert.ok(second.counters[0]! > first.counters[0]!, 'the second joined later')
    assert.ok(first.counters.includes(second.counters[0]!), 'the second sees what the first sees')
    for (const client of [first, second]) {
      const SPS = 7
      assert.equal(client.packets(CHANNEL.video)[0]!.payload[0]! & 0x1f, SPS)
    }
  })

  test('sends a sender report for each track before its first packet', async (t) => {
    const client = await RtspClient.play((await startCamera(t)).url)
    await client.moreFrames(1)
    for (const [rtcp, rtp] of [
      [CHANNEL.videoRtcp, CHANNEL.video],
      [CHANNEL.audioRtcp, CHANNEL.audio],
    ] as const) {
      await client.until(() => client.packets(rtp).length > 0)
      assert.ok(client.packets(rtcp)[0]!.atMs <= client.packets(rtp)[0]!.atMs)
    }
  })

  test('has a track of ONVIF metadata if it should', async (t) => {
    const { url } = await startCamera(t, { metadataTrack: true })
    const client = await RtspClient.play(url)
    await client.until(() => client.packets(CHANNEL.metadata).length > 0)
    const xml = client.packets(CHANNEL.metadata)[0]!.payload.toString()
    assert.match(xml, /^<\?xml .*<\/tt:MetadataStream>$/)
    const types = (await probeStreams(url)).map((stream) => stream['codec_type'])
    assert.deepEqual(types, ['video', 'audio', 'data'])
  })

  test('answers what keeps a session alive, and stops at TEARDOWN', async (t) => {
    const camera = await startCamera(t)
    const client = await RtspClient.play(camera.url)
    assert.equal(camera.playing, 1)
    assert.equal((await client.request('GET_PARAMETER')).status, 200)
    assert.equal((await client.request('OPTIONS')).status, 200)
    assert.equal((await client.request('TEARDOWN')).status, 200)
    assert.equal(camera.playing, 0)
  })

  test('remembers who asked for what, so that a test can tell if it is hammered', async (t) => {
    const camera = await startCamera(t)
    await RtspClient.play(camera.url)
    assert.deepEqual(
      camera.events.map(({ what }) => what),
      ['connected', 'DESCRIBE 200', 'SETUP 200', 'SETUP 200', 'PLAY 200'],
    )
    assert.ok(Math.abs(camera.events[0]!.atMs - Date.now()) < 5000)
  })

  test('drops a client that does not read, instead of keeping all for it', async (t) => {
    const slices = [Buffer.alloc(2_000_000, 1)]
    const frames = [{ isKeyframe: true, slices }]
    const clip: Clip = { video: { ...h264Aac.video, frames }, audio: undefined }
    const camera = await startCamera(t, { clip })
    const client = await RtspClient.play(camera.url)
    client.socket.pause()
    const deadline = performance.now() + 5000
    while (camera.playing > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    assert.equal(camera.playing, 0)
  })

  test('shows a new clip to new clients only', async (t) => {
    const camera = await startCamera(t)
    const old = await RtspClient.play(camera.url)
    await old.moreFrames(1)
    camera.setClip(hevcAac)
    assert.equal((await probeStreams(camera.url))[0]?.['codec_name'], 'hevc')
    await old.moreFrames(5)
    assert.deepEqual(brokenPlaces(old.counters), [])
  })

  test('leaves nothing open when it is closed', async (t) => {
    const camera = await startCamera(t)
    const client = await RtspClient.play(camera.url)
    const closed = once(client.socket, 'close')
    await camera.close()
    await closed
    await assert.rejects(RtspClient.connect(camera.url), { code: 'ECONNREFUSED' })
  })
})

test('a clip is encoded once, also by two who want it at the same time', async () => {
  const cache = join(folder, 'cache')
  const options = { durationSeconds: 1, audio: 'pcma' } as const
  const [one, other] = await Promise.all([makeClip(options, cache), makeClip(options, cache)])
  const again = await makeClip(options, cache)
  assert.equal((await readdir(cache)).length, 1)
  assert.equal(again.video.frames.length, 25)
  assert.deepEqual(
    [one, other, again].map(({ audio }) => audio?.frames.length),
    [25, 25, 25],
  )
})

function frameEnds(packets: RtpPacket[]): RtpPacket[] {
  return packets.filter(({ timestamp }, index) => timestamp !== packets[index + 1]?.timestamp)
}

function timestampSteps(packets: RtpPacket[]): number[] {
  return steps(packets.map(({ timestamp }) => timestamp)).map((step) => step >>> 0)
}
