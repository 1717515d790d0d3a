import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import test from 'node:test'
import { parseTcpTable, strangersOf } from '../../src/recorder/remote-addresses.ts'

test('connections are read from the kernel, IPv4 in IPv6 as IPv4, and nobody who only listens', () => {
  const table = `  sl  local_address remote_address st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:A1ED 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0 100
   1: 0100007F:07E8 0A01A8C0:022A 01 00000000:00000000 00:00000000 00000000     0        0 12 1 0 20
   2: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:D431 01 00000000:00000000 00:00000000 00000000  0 0 13 1 0 20
   3: 00000000000000000000000001000000:1F90 000080FE00000000FF110102FE334403:D431 01 00000000:00000000 00:00000000 00000000  0 0 14 1 0 20
`
  assert.deepEqual(parseTcpTable(table), [
    { inode: '12', remote: '192.168.1.10' },
    { inode: '13', remote: '127.0.0.1' },
    { inode: '14', remote: 'fe80::201:11ff:344:33fe' },
  ])
})

test('a process is told by its connections to hosts that nobody has named', async (t) => {
  const [own] = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
  const server = createServer().listen(0, '::')
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const hosts = ['127.0.0.1', '127.0.0.2', ...(own ? [own.address] : [])]
  for (const host of hosts) {
    const socket = connect(port, host)
    await once(socket, 'connect')
    t.after(() => socket.destroy())
  }
  const strangers = await strangersOf(process.pid, ['localhost'])
  assert.ok(strangers?.inside.includes('127.0.0.2'))
  assert.ok(!strangers?.inside.includes('127.0.0.1'))
  assert.deepEqual(strangers?.others, own ? [own.address] : [])
  const none = { inside: [], others: [] }
  assert.deepEqual(await strangersOf(process.pid, hosts), none)
  assert.equal(await strangersOf(process.pid, ['no-such-host.invalid']), undefined)
})
