// Judges AS4 messages, and makes some, with Apache Santuario (Debian: libxml-security-java). It shares no code with brevbro.
// Reads one command from each line of its input, in words apart by tabs, and answers with one line of JSON:
//
//   open DIR KEY CERT CID...    soap.xml and part-0, part-1 ... of DIR: decrypts the parts with KEY into plain-0, plain-1 ...,
//                               verifies the signature with CERT; parts that are not encrypted are taken as they are
//   make DIR KEY CERT FORM      messaging.xml and plain-0 of DIR: signs with KEY, encrypts for CERT, writes soap.xml and part-0;
//                               FORM is how both certificates are named: token, identifier, serial, thumbprint, certificate
//
// KEY is PEM with a private key and its certificate. What cannot be done is {"error": "..."}.

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Key;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import javax.crypto.KeyGenerator;
import javax.xml.parsers.DocumentBuilderFactory;
import org.apache.xml.security.Init;
import org.apache.xml.security.algorithms.MessageDigestAlgorithm;
import org.apache.xml.security.c14n.Canonicalizer;
import org.apache.xml.security.encryption.EncryptedData;
import org.apache.xml.security.encryption.EncryptedKey;
import org.apache.xml.security.encryption.XMLCipher;
import org.apache.xml.security.signature.Reference;
import org.apache.xml.security.signature.XMLSignature;
import org.apache.xml.security.signature.XMLSignatureInput;
import org.apache.xml.security.transforms.Transform;
import org.apache.xml.security.transforms.TransformSpi;
import org.apache.xml.security.transforms.Transforms;
import org.apache.xml.security.transforms.params.InclusiveNamespaces;
import org.apache.xml.security.utils.EncryptionConstants;
import org.apache.xml.security.utils.resolver.ResourceResolver;
import org.apache.xml.security.utils.resolver.ResourceResolverContext;
import org.apache.xml.security.utils.resolver.ResourceResolverSpi;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

public class Santuario {
    static final String SOAP = "http://www.w3.org/2003/05/soap-envelope";
    static final String EB = "http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/";
    static final String DS = "http://www.w3.org/2000/09/xmldsig#";
    static final String XENC = "http://www.w3.org/2001/04/xmlenc#";
    static final String WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
    static final String WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
    static final String TOKEN = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#";
    static final String BASE64 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary";
    static final String THUMBPRINT = "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#ThumbprintSHA1";
    static final String SWA = "http://docs.oasis-open.org/wss/oasis-wss-SwAProfile-1.1#";

    /** What `cid:` stands for: ciphertext while decrypting, plaintext while signing and verifying. */
    static final Map<String, byte[]> PARTS = new HashMap<>();

    public static class CidResolver extends ResourceResolverSpi {
        @Override
        public boolean engineCanResolveURI(ResourceResolverContext context) {
            return context.uriToResolve != null && context.uriToResolve.startsWith("cid:");
        }

        @Override
        public XMLSignatureInput engineResolveURI(ResourceResolverContext context) {
            byte[] octets = PARTS.get(context.uriToResolve.substring(4));
            if (octets == null) {
                throw new IllegalArgumentException("no part " + context.uriToResolve);
            }
            return new XMLSignatureInput(octets);
        }

        @Override
        public boolean engineIsThreadSafe() {
            return true;
        }
    }

    /** The octets as they are: all that the SwA profile asks of octets that are no text. */
    public static class AsItIs extends TransformSpi {
        @Override
        protected String engineGetURI() {
            return SWA;
        }

        @Override
        protected XMLSignatureInput enginePerformTransform(XMLSignatureInput input, OutputStream out, Transform transform) {
            return input;
        }
    }

    static Document parse(byte[] xml) throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        factory.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
        return factory.newDocumentBuilder().parse(new ByteArrayInputStream(xml));
    }

    static byte[] pem(Path file, String what) throws Exception {
        String text = Files.readString(file);
        String start = "-----BEGIN " + what + "-----";
        int at = text.indexOf(start) + start.length();
        return Base64.getMimeDecoder().decode(text.substring(at, text.indexOf("-----END", at)));
    }

    static X509Certificate certificate(Path file) throws Exception {
        byte[] der = pem(file, "CERTIFICATE");
        return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(der));
    }

    static PrivateKey key(Path file) throws Exception {
        return KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(pem(file, "PRIVATE KEY")));
    }

    static Element first(Document document, String namespace, String name) {
        return (Element) document.getElementsByTagNameNS(namespace, name).item(0);
    }

    static void ids(Document document) {
        for (Element element : List.of(first(document, EB, "Messaging"), first(document, SOAP, "Body"))) {
            element.setIdAttributeNS(WSU, "Id", true);
        }
    }

    static String open(Path dir, Path keyFile, Path certFile, String[] cids) throws Exception {
        Document document = parse(Files.readAllBytes(dir.resolve("soap.xml")));
        for (int number = 0; number < cids.length; number++) {
            PARTS.put(cids[number], Files.readAllBytes(dir.resolve("part-" + number)));
        }
        Map<String, byte[]> plain = new HashMap<>(PARTS);
        NodeList all = document.getElementsByTagNameNS(XENC, "EncryptedData");
        if (all.getLength() > 0) {
            Element wrapped = first(document, XENC, "EncryptedKey");
            for (int number = 0; number < all.getLength(); number++) {
                Element data = (Element) all.item(number);
                XMLCipher unwrap = XMLCipher.getInstance();
                unwrap.init(XMLCipher.UNWRAP_MODE, key(keyFile));
                EncryptedKey encryptedKey = unwrap.loadEncryptedKey(document, wrapped);
                Element method = (Element) data.getElementsByTagNameNS(XENC, "EncryptionMethod").item(0);
                Key session = unwrap.decryptKey(encryptedKey, method.getAttribute("Algorithm"));
                XMLCipher cipher = XMLCipher.getInstance();
                cipher.init(XMLCipher.DECRYPT_MODE, session);
                Element reference = (Element) data.getElementsByTagNameNS(XENC, "CipherReference").item(0);
                plain.put(reference.getAttribute("URI").substring(4), cipher.decryptToByteArray(data));
            }
        }
        PARTS.putAll(plain);
        for (int number = 0; number < cids.length; number++) {
            Files.write(dir.resolve("plain-" + number), plain.get(cids[number]));
        }
        ids(document);
        XMLSignature signature = new XMLSignature(first(document, DS, "Signature"), "", true);
        signature.addResourceResolver(new CidResolver());
        boolean valid = signature.checkSignatureValue(certificate(certFile));
        List<String> references = new ArrayList<>();
        for (int number = 0; number < signature.getSignedInfo().getLength(); number++) {
            Reference reference = signature.getSignedInfo().item(number);
            references.add("\"" + reference.getURI() + "\":" + reference.verify());
        }
        return "{\"valid\":" + valid + ",\"references\":{" + String.join(",", references) + "}}";
    }

    static Element append(Element parent, String namespace, String name) {
        Element element = parent.getOwnerDocument().createElementNS(namespace, name);
        parent.appendChild(element);
        return element;
    }

    static byte[] keyIdentifier(X509Certificate certificate) {
        byte[] extension = certificate.getExtensionValue("2.5.29.14");
        // An octet string in an octet string.
        return java.util.Arrays.copyOfRange(extension, 4, extension.length);
    }

    /** Names a certificate below a KeyInfo; a token that is needed goes before `before`. */
    static void name(Element info, X509Certificate certificate, String form, String id, Element security, Element before) throws Exception {
        Element at = append(info, WSSE, "wsse:SecurityTokenReference");
        switch (form) {
            case "token" -> {
                Element token = security.getOwnerDocument().createElementNS(WSSE, "wsse:BinarySecurityToken");
                security.insertBefore(token, before);
                token.setAttributeNS(WSU, "wsu:Id", id);
                token.setAttribute("EncodingType", BASE64);
                token.setAttribute("ValueType", TOKEN + "X509v3");
                token.setTextContent(Base64.getMimeEncoder().encodeToString(certificate.getEncoded()));
                Element reference = append(at, WSSE, "wsse:Reference");
                reference.setAttribute("URI", "#" + id);
                reference.setAttribute("ValueType", TOKEN + "X509v3");
            }
            case "identifier", "thumbprint" -> {
                Element identifier = append(at, WSSE, "wsse:KeyIdentifier");
                boolean thumbprint = form.equals("thumbprint");
                identifier.setAttribute("EncodingType", BASE64);
                identifier.setAttribute("ValueType", thumbprint ? THUMBPRINT : TOKEN + "X509SubjectKeyIdentifier");
                byte[] octets = thumbprint ? MessageDigest.getInstance("SHA-1").digest(certificate.getEncoded()) : keyIdentifier(certificate);
                identifier.setTextContent(Base64.getEncoder().encodeToString(octets));
            }
            case "serial" -> {
                Element pair = append(append(at, DS, "ds:X509Data"), DS, "ds:X509IssuerSerial");
                append(pair, DS, "ds:X509IssuerName").setTextContent(certificate.getIssuerX500Principal().getName());
                append(pair, DS, "ds:X509SerialNumber").setTextContent(certificate.getSerialNumber().toString());
            }
            case "certificate" -> append(append(at, DS, "ds:X509Data"), DS, "ds:X509Certificate")
                .setTextContent(Base64.getMimeEncoder().encodeToString(certificate.getEncoded()));
            default -> throw new IllegalArgumentException(form);
        }
    }

    static String make(Path dir, Path keyFile, Path certFile, String form) throws Exception {
        byte[] plain = Files.readAllBytes(dir.resolve("plain-0"));
        String text = "<s:Envelope xmlns:s=\"" + SOAP + "\"><s:Header>" + Files.readString(dir.resolve("messaging.xml"))
            + "<wsse:Security xmlns:wsse=\"" + WSSE + "\" xmlns:wsu=\"" + WSU + "\" xmlns:ds=\"" + DS + "\" xmlns:xenc=\"" + XENC
            + "\" s:mustUnderstand=\"true\"/></s:Header><s:Body xmlns:wsu=\"" + WSU
            + "\" wsu:Id=\"body-1\"/></s:Envelope>";
        Document document = parse(text.getBytes(StandardCharsets.UTF_8));
        ids(document);
        Element security = first(document, WSSE, "Security");
        String cid = first(document, EB, "PartInfo").getAttribute("href").substring(4);

        // Signed before it is encrypted, in front of which the encryption then goes.
        PARTS.put(cid, plain);
        XMLSignature signature =
            new XMLSignature(document, "", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", Canonicalizer.ALGO_ID_C14N_EXCL_OMIT_COMMENTS);
        security.appendChild(signature.getElement());
        signature.addResourceResolver(new CidResolver());
        for (String id : List.of(first(document, EB, "Messaging").getAttributeNS(WSU, "Id"), "body-1")) {
            Transforms transforms = new Transforms(document);
            transforms.addTransform(Transforms.TRANSFORM_C14N_EXCL_OMIT_COMMENTS, new InclusiveNamespaces(document, "s").getElement());
            signature.addDocument("#" + id, transforms, MessageDigestAlgorithm.ALGO_ID_DIGEST_SHA256);
        }
        Transforms content = new Transforms(document);
        content.addTransform(SWA + "Attachment-Content-Signature-Transform");
        signature.addDocument("cid:" + cid, content, MessageDigestAlgorithm.ALGO_ID_DIGEST_SHA256);
        name(signature.getKeyInfo().getElement(), certificate(keyFile), form, "T-1", security, signature.getElement());
        signature.sign(key(keyFile));

        Element before = (Element) security.getFirstChild();
        KeyGenerator generator = KeyGenerator.getInstance("AES");
        generator.init(128);
        Key session = generator.generateKey();
        XMLCipher cipher = XMLCipher.getInstance(XMLCipher.AES_128_GCM);
        cipher.init(XMLCipher.ENCRYPT_MODE, session);
        EncryptedData data = cipher.encryptData(document, SWA + "Attachment-Content-Only", new ByteArrayInputStream(plain));
        data.setId("ED-1");
        data.setMimeType("application/gzip");
        Element encrypted = cipher.martial(document, data);
        Element value = (Element) encrypted.getElementsByTagNameNS(XENC, "CipherValue").item(0);
        Files.write(dir.resolve("part-0"), Base64.getMimeDecoder().decode(value.getTextContent()));
        Element reference = document.createElementNS(XENC, "xenc:CipherReference");
        reference.setAttribute("URI", "cid:" + cid);
        append(append(reference, XENC, "xenc:Transforms"), DS, "ds:Transform").setAttribute("Algorithm", SWA + "Attachment-Ciphertext-Transform");
        value.getParentNode().replaceChild(reference, value);

        XMLCipher wrap = XMLCipher.getInstance(XMLCipher.RSA_OAEP_11, null, MessageDigestAlgorithm.ALGO_ID_DIGEST_SHA256);
        wrap.init(XMLCipher.WRAP_MODE, certificate(certFile).getPublicKey());
        EncryptedKey encryptedKey = wrap.encryptKey(document, session, EncryptionConstants.MGF1_SHA256, null);
        encryptedKey.setId("EK-1");
        Element wrapped = wrap.martial(document, encryptedKey);
        security.insertBefore(wrapped, before);
        Element info = document.createElementNS(DS, "ds:KeyInfo");
        wrapped.insertBefore(info, wrapped.getElementsByTagNameNS(XENC, "CipherData").item(0));
        name(info, certificate(certFile), form, "T-2", security, wrapped);
        append(append(wrapped, XENC, "xenc:ReferenceList"), XENC, "xenc:DataReference").setAttribute("URI", "#ED-1");
        security.insertBefore(encrypted, before);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".getBytes(StandardCharsets.UTF_8));
        // Canonical form has every namespace that it needs.
        out.write(Canonicalizer.getInstance(Canonicalizer.ALGO_ID_C14N_OMIT_COMMENTS).canonicalizeSubtree(document));
        Files.write(dir.resolve("soap.xml"), out.toByteArray());
        return "{\"made\":true}";
    }

    public static void main(String[] args) throws Exception {
        Init.init();
        ResourceResolver.register(new CidResolver(), true);
        for (String name : List.of("Attachment-Content-Signature-Transform", "Attachment-Ciphertext-Transform")) {
            Transform.register(SWA + name, AsItIs.class);
        }
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.split("\t");
            PARTS.clear();
            String answer;
            try {
                Path dir = Path.of(words[1]);
                answer = words[0].equals("open")
                    ? open(dir, Path.of(words[2]), Path.of(words[3]), java.util.Arrays.copyOfRange(words, 4, words.length))
                    : make(dir, Path.of(words[2]), Path.of(words[3]), words[4]);
            } catch (Exception error) {
                answer = "{\"error\":\"" + error.toString().replaceAll("[^ -~]|[\"\\\\]", " ") + "\"}";
            }
            System.out.println(answer);
            System.out.flush();
        }
    }
}
