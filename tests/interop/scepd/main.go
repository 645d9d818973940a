// SPDX-License-Identifier: BSD-2-Clause
//
// scepd: a SCEP server for tests, made of Debian's golang-github-micromdm-scep-dev, which is not ours. What it adds to that
// library: answers in AES-256-CBC (the library's own choice is single DES), and certificates that look like those of a
// derived PIV credential, so that dpiv installs them. Its signatures use SHA-1, which the library does not let one change.
package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"flag"
	"log"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"time"

	kitlog "github.com/go-kit/kit/log"
	"github.com/micromdm/scep/v2/scep"
	scepserver "github.com/micromdm/scep/v2/server"
	"go.mozilla.org/pkcs7"
)

type issuer struct {
	ca  *x509.Certificate
	key crypto.Signer
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func block(file string) []byte {
	text, err := os.ReadFile(file)
	check(err)
	b, _ := pem.Decode(text)
	if b == nil {
		log.Fatal(file, ": no PEM")
	}
	return b.Bytes
}

func rsaKey(file string) *rsa.PrivateKey {
	key, err := x509.ParsePKCS8PrivateKey(block(file))
	check(err)
	return key.(*rsa.PrivateKey)
}

func number(bits uint) *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), bits))
	check(err)
	return n
}

// SignCSR is the library's hook: a request that it has opened and whose challenge is right.
func (i *issuer) SignCSR(m *scep.CSRReqMessage) (*x509.Certificate, error) {
	if err := m.CSR.CheckSignature(); err != nil {
		return nil, errors.New("the request's own signature is wrong")
	}
	uuid := make([]byte, 16)
	_, err := rand.Read(uuid)
	check(err)
	urn, err := url.Parse("urn:uuid:" + format(uuid))
	check(err)
	usage, err := asn1.Marshal(asn1.BitString{Bytes: []byte{0x80}, BitLength: 1})
	check(err)
	template := &x509.Certificate{
		SerialNumber:          number(120),
		RawSubject:            m.CSR.RawSubject,
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(90 * 24 * time.Hour),
		BasicConstraintsValid: true,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		PolicyIdentifiers:     []asn1.ObjectIdentifier{{2, 16, 840, 1, 101, 3, 2, 1, 3, 40}},
		URIs:                  []*url.URL{urn},
		ExtraExtensions:       []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: usage}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.ca, m.CSR.PublicKey, i.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func format(b []byte) string {
	const hex = "0123456789abcdef"
	s := ""
	for n, v := range b {
		if n == 4 || n == 6 || n == 8 || n == 10 {
			s += "-"
		}
		s += string(hex[v>>4]) + string(hex[v&15])
	}
	return s
}

func main() {
	address := flag.String("listen", "127.0.0.1:8080", "")
	caFile := flag.String("ca", "", "PEM certificate of the CA")
	keyFile := flag.String("key", "", "its RSA key, PKCS #8 PEM")
	raFile := flag.String("ra", "", "PEM certificate of an RA")
	raKeyFile := flag.String("rakey", "", "its RSA key, PKCS #8 PEM")
	challenge := flag.String("challenge", "", "the challengePassword to demand")
	flag.Parse()

	pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC
	ca, err := x509.ParseCertificate(block(*caFile))
	check(err)
	key := rsaKey(*keyFile)
	logger := kitlog.NewLogfmtLogger(os.Stderr)
	signer := scepserver.ChallengeMiddleware(*challenge, &issuer{ca, key})
	options := []scepserver.ServiceOption{scepserver.WithLogger(logger)}
	front, frontKey := ca, key
	if *raFile != "" { // an RA talks to the world
		front, err = x509.ParseCertificate(block(*raFile))
		check(err)
		frontKey = rsaKey(*raKeyFile)
		options = append(options, scepserver.WithAddlCA(ca))
	}
	service, err := scepserver.NewService(front, frontKey, signer, options...)
	check(err)
	handler := scepserver.MakeHTTPHandler(scepserver.MakeServerEndpoints(service), service, logger)
	log.Print("ready")
	check(http.ListenAndServe(*address, handler))
}
