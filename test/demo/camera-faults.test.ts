import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeClip } from '../../demo/clip.ts'
import { startRtspCamera, type CameraOptions } from '../../demo/rtsp-camera.ts'
import { brokenPlaces } from '../support/frame-counter.ts'
import { CHANNEL, RtspClient } from './rtsp-client.ts'

const clip = await makeClip({ durationSeconds: 1, gopSeconds: 0.2, audio: 'pcmu' })

/** Long enough for several frames, and for what is still on its way. */
const A_WHILE_MS = 300

async function startWatchedCamera(t: TestContext, options: Partial<CameraOptions> = {}) {
  const camera = await startRtspCamera({ clip, ...options })
  t.after(() => camera.close())
  const client = await RtspClient.play(camera.url)
  await client.moreFrames(5)
  return { camera, client }
}

/** How many packets arrive on each channel during a time. */
async function arrivals(client: RtspClient, ms: number) {
  await sleep(A_WHILE_MS)
  const count = (channel: number) => client.packets(channel).length
  const names = Object.entries(CHANNEL)
  const before = new Map(names.map(([name, channel]) => [name, count(channel)]))
  await sleep(ms)
  return Object.fromEntries(
    names.map(([name, channel]) => [name, count(channel) - before.get(name)!]),
  ) as Record<keyof typeof CHANNEL, number>
}

describe('a faulty camera', { concurrency: true }, () => {
  test('that is silent keeps the connection and sends nothing, then goes on with a keyframe', async (t) => {
    const { camera, client } = await startWatchedCamera(t)
    camera.faults.silent = true
    client.socket.write('GET_PARAMETER * RTSP/1.0\r\nCSeq: 99\r\n\r\n')
    const newcomer = await RtspClient.connect(camera.url)
    newcomer.socket.write('OPTIONS * RTSP/1.0\r\nCSeq: 99\r\n\r\n')
    assert.equal(sum(await arrivals(client, A_WHILE_MS)), 0)
    assert.equal(newcomer.socket.bytesRead, 0)
    assert.ok(!client.socket.closed && !newcomer.socket.closed)

    const before = client.packets(CHANNEL.video).length
    camera.faults.silent = false
    await client.moreFrames(5)
    const SPS = 7
    assert.equal(client.packets(CHANNEL.video)[before]!.payload[0]! & 0x1f, SPS)
    assert.equal(brokenPlaces(client.counters).length, 1, 'what was due in the meantime is lost')
    assert.equal((await client.request('OPTIONS')).status, 200)
  })

  test('whose video stops goes on with audio and RTCP', async (t) => {
    const { camera, client } = await startWatchedCamera(t)
    camera.faults.videoStops = true
    const newcomer = await RtspClient.play(camera.url)
    const { video, audio, videoRtcp } = await arrivals(client, 5200)
    assert.equal(video, 0)
    assert.ok(audio > 100 && videoRtcp > 0)
    assert.ok(newcomer.packets(CHANNEL.audio).length > 100)
  })

  test('whose RTP stops goes on with RTCP', async (t) => {
    const { camera, client } = await startWatchedCamera(t)
    camera.faults.rtpStops = true
    const { video, audio, videoRtcp, audioRtcp } = await arrivals(client, 5200)
    assert.deepEqual([video, audio], [0, 0])
    assert.ok(videoRtcp > 0 && audioRtcp > 0)
  })

  test('that refuses connections does so for real, and listens on the same port again', async (t) => {
    const { camera, client } = await startWatchedCamera(t)
    for (let round = 0; round < 2; round += 1) {
      camera.faults.refuseConnections = true
      await assert.rejects(RtspClient.connect(camera.url), { code: 'ECONNREFUSED' })
      await client.moreFrames(2)
      camera.faults.refuseConnections = false
      const newcomer = await RtspClient.play(camera.url)
      await newcomer.moreFrames(2)
    }
  })

  test('answers 401 or 404 whatever is asked', async (t) => {
    const { camera } = await startWatchedCamera(t)
    const client = await RtspClient.connect(camera.url)
    camera.faults.notFound = true
    assert.equal((await client.request('DESCRIBE')).status, 404)
    camera.faults.unauthorized = true
    assert.equal((await client.request('DESCRIBE')).status, 401)
  })

  test('behind a stalled network delivers all that was held back in one burst', async (t) => {
    const { camera, client } = await startWatchedCamera(t)
    camera.faults.holdBack = true
    assert.equal(sum(await arrivals(client, 2 * A_WHILE_MS)), 0)
    const before = client.counters.length
    camera.faults.holdBack = false
    await sleep(100)
    assert.ok(client.counters.length > before + 15, 'more than half a second at once')
    await client.moreFrames(5)
    assert.deepEqual(brokenPlaces(client.counters), [])
  })

  test('that disconnects everyone can be played again at once', async (t) => {
    const { camera, client } = await startWatchedCamera(t)
    const closed = once(client.socket, 'close')
    camera.disconnectAll()
    await closed
    const newcomer = await RtspClient.play(camera.url)
    await newcomer.moreFrames(2)
    assert.equal(camera.playing, 1)
  })

  test('whose timestamps jump, of all media or of one, loses no frame', async (t) => {
    const { camera, client } = await startWatchedCamera(t)
    camera.timestampJumpMs(3_600_000)
    await client.until(() => jumps(client, CHANNEL.audio).length > 0)
    await client.moreFrames(5)
    assert.deepEqual(jumps(client, CHANNEL.video), [3_600_000 * 90 + 3600])
    assert.deepEqual(jumps(client, CHANNEL.audio), [3_600_000 * 8 + 320])
    camera.timestampJumpMs(-3_600_000, ['video'])
    await client.until(() => jumps(client, CHANNEL.video).length > 1)
    assert.equal(jumps(client, CHANNEL.video).length, 2)
    assert.equal(jumps(client, CHANNEL.audio).length, 1)
    assert.deepEqual(brokenPlaces(client.counters), [])
  })

  test('whose timestamps begin anew, or stray, loses no frame', async (t) => {
    const { camera, client } = await startWatchedCamera(t)
    camera.restartTimestamps()
    await client.until(() => jumps(client, CHANNEL.audio).length > 0)
    await client.moreFrames(5)
    assert.equal(jumps(client, CHANNEL.video).length, 1)
    assert.equal(jumps(client, CHANNEL.audio).length, 1)
    camera.faults.strayStampsMs = 100
    await client.until(() => jumps(client, CHANNEL.video).length > 2)
    const strays = jumps(client, CHANNEL.video).slice(1)
    assert.deepEqual(strays.slice(0, 2), [(3600 - 9000) >>> 0, 3600 + 9000])
    assert.deepEqual(brokenPlaces(client.counters), [])
  })

  test('whose clock is slow sends fewer frames than its timestamps tell', async (t) => {
    const { client } = await startWatchedCamera(t, { pace: 0.5 })
    const { audio } = await arrivals(client, 2000)
    assert.ok(audio > 15 && audio < 35, `${audio} audio frames of 40 ms in 2 s`)
    assert.deepEqual([...jumps(client, CHANNEL.audio), ...jumps(client, CHANNEL.video)], [])
  })

  test('that delivers in bursts sends what it would have sent one by one', async (t) => {
    const { client } = await startWatchedCamera(t, { burstMs: 700 })
    await client.moreFrames(60)
    const times = client.packets(CHANNEL.video).map(({ atMs }) => atMs)
    const pauses = times.slice(1).filter((atMs, index) => atMs - times[index]! > 300)
    assert.ok(pauses.length >= 1 && pauses.length <= 5, `${pauses.length} pauses`)
    assert.deepEqual(brokenPlaces(client.counters), [])
    assert.deepEqual(jumps(client, CHANNEL.video), [])
  })

  test('that has few frames a second does not make the sound wait for them', async (t) => {
    const slow = await makeClip({ durationSeconds: 4, fps: 0.5, gopSeconds: 2, audio: 'pcmu' })
    const camera = await startRtspCamera({ clip: slow })
    t.after(() => camera.close())
    const client = await RtspClient.play(camera.url)
    await client.moreFrames(1)
    assert.ok((await arrivals(client, 1000)).audio > 15)
  })

  test('that begins in the middle of a group of pictures sends what cannot be decoded yet', async (t) => {
    const { camera } = await startWatchedCamera(t)
    camera.faults.startsMidGop = true
    const isKeyframe = []
    for (let joins = 0; joins < 5; joins += 1) {
      const client = await RtspClient.play(camera.url)
      await client.moreFrames(1)
      isKeyframe.push(clip.video.frames[client.counters[0]! % clip.video.frames.length]?.isKeyframe)
    }
    assert.ok(isKeyframe.includes(false))
  })

  test('whose video is late sends the sound at once', async (t) => {
    const { camera } = await startWatchedCamera(t)
    camera.faults.videoLateMs = 4000
    const client = await RtspClient.play(camera.url)
    const { audio, video } = await arrivals(client, 1000)
    assert.ok(audio > 15)
    assert.equal(video, 0)
    await client.moreFrames(1)
  })

  test('that shows another size sends it to whoever connects next', async (t) => {
    const { camera, client } = await startWatchedCamera(t)
    const before = (await (await RtspClient.connect(camera.url)).request('DESCRIBE')).text
    camera.setClip(await makeClip({ durationSeconds: 1, width: 320, height: 180, audio: 'pcmu' }))
    await client.moreFrames(5)
    const after = (await (await RtspClient.connect(camera.url)).request('DESCRIBE')).text
    assert.notEqual(parameterSets(before), parameterSets(after))
  })
})

function parameterSets(description: string): string | undefined {
  return /sprop-parameter-sets=(\S+)/.exec(description)?.[1]
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}

/** The steps between timestamps that are not the length of a frame. */
function jumps(client: RtspClient, channel: number): number[] {
  const timestamps = client.packets(channel).map(({ timestamp }) => timestamp)
  return timestamps
    .slice(1)
    .map((timestamp, index) => (timestamp - timestamps[index]!) >>> 0)
    .filter((step) => step !== 0 && step !== 3600 && step !== 320)
}
