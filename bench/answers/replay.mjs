//! A process that reads an answer many times at once, and says how many bytes each reader was sent.

import net from 'node:net';

const [port, path, readers] = process.argv.slice(2);

const read = () =>
  new Promise((resolve, reject) => {
    let bytes = 0;
    const socket = net.connect(Number(port), '127.0.0.1');
    socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: */*\r\n\r\n`);
    socket.on('data', (chunk) => (bytes += chunk.length));
    socket.on('end', () => resolve(bytes));
    socket.on('error', reject);
  });

const all = await Promise.all(Array.from({ length: Number(readers) }, read));
console.log(JSON.stringify({ fewest: Math.min(...all), most: Math.max(...all) }));
