"""What institutions call the fields of a IIIF manifest's ``metadata``: free labels in their own languages."""

# In lower case, without a closing colon, separated by a bar
_LABELS: dict[str, str] = {
    "title": (
        "title | naam | name | titre | titel | título | titolo | tittel | main title | title statement | full "
        "title | titles | titre d'ensemble | teitl | nimeke | titulus | title in original language | original "
        "title | alternative title | alternative titles | other title | other titles | alternatieve titel | autre "
        "titre | titre alternatif"
    ),
    "creator": (
        "creator | artist/maker | creators | author | authors | author(s) | artist | artists | maker | makers | "
        "auteur | autor | autore | créateur | kunstenaar | künstler | verfasser | person | people | personen | "
        "main author | attributed to | photographer | photographe | engraver | graveur | illustrator | "
        "vervaardiger | fotograf | kunstner | forfatter | opphav | painter | draughtsman | awdur | author/creator "
        "| contributors - author | illustrateur | ilustrador | stecher | zeichner | maler | peintre | dessinateur "
        "| tekenaar | graveerder"
    ),
    "contributor": (
        "contributor | contributors | contributeur | publisher | éditeur | verlag | other author | "
        "utgiver | bidragsyter | mitwirkende | medewerker | cyhoeddwr"
    ),
    "date": (
        "date | datecreated | dates | date created | creation date | created | published | publication date | "
        "date of publication | date d'édition | datum | datierung | fecha | data | dato | year | jahr | jaar | "
        "date issued | issued | date statement | created published | publication year | date/period | "
        "erscheinungsdatum | dating | entstehungsdatum | origin date | dyddiad | utgitt | publication info | "
        "imprint | original date | display date | publish date | published/created date | publication/creation | "
        "date de publication | date de création | datering | entstehungszeit | erscheinungsjahr | fecha de "
        "publicación | data di pubblicazione | date of creation | date of origin"
    ),
    "place": (
        "place | lieu | ort | plaats | lugar | luogo | place of origin | place of publication | origin | "
        "erscheinungsort | geography | spatial | sted | provenance (place) | publication place | coverage | lugar "
        "de publicación | lieu de publication | plaats van uitgave | utgivelsessted | place of production"
    ),
    "subject": (
        "subject | subjects | sujet | schlagwort | schlagwörter | onderwerp | materia | soggetto | topic | topics "
        "| subject/content | keywords | emne | emneord | depicted | depicts | iconography | additional topics | "
        "additional subjects | mots-clés | trefwoorden | descriptors | thema | themen | materias | iconclass "
        "subject"
    ),
    "type": (
        "type | genre | object type | resource type | material type | classification | form | gattung | "
        "dokumenttyp | type of resource | content type | object name | format (original) | item type | work type "
        "| type of item | type/technique | genre/form | original format | documenttype | type de document | tipo "
        "de documento | tipo"
    ),
    "technique": (
        "technique | medium | materials | material | technik | materiaal | format | physical description | "
        "description physique | materials/techniques | support | extent | media | medium and support | "
        "technique/material | materials and techniques | técnica | tecnica | teknikk"
    ),
    "description": (
        "description | summary | résumé | abstract | beschreibung | beschrijving | descripción | "
        "descrizione | content | beskrivelse | sammanfattning | short description | caption | disgrifiad "
        "| content note"
    ),
    "language": ("language | languages | langue | sprache | taal | idioma | lingua | språk | iaith | text language"),
    "rights": (
        "rights | right | license | licence | droits | rechte | rechten | copyright | usage | terms of use | "
        "conditions of use | full conditions of use | rights statement | use and reproduction | lizenz | licentie "
        "| nutzungsbedingungen | licence type | copyright status | rights status | access conditions | usage "
        "terms | conditions d'utilisation | reproduction rights | rights/license | rettigheter | usage licence | "
        "attribution and usage | rights and permissions | nutzungsrechte | utilisation"
    ),
    "shelfmark": (
        "shelfmark | callnr | identificatie | shelf mark | cote | signatur | call number | identifier | accession "
        "number | object number | inventarnummer | id | reference number | signatura | callnumber | shelf locator "
        "| object id | holding institution identifier | physical location | local identifier | reference | "
        "wellcome identifier | other identifier | shelfmarks | inventory number | standort"
    ),
    "institution": (
        "repository | holding institution | institution | dépôt | holder | owner | bibliothek | library "
        "| current location | collection holder | provider | data provider | held by | besitzende "
        "institution | source institution | lieu de conservation | besitzer"
    ),
    "link": (
        "source | catalogue record | metadata source | source images | link to catalogue | permalink | "
        "uri | url | ark | source metadata | relation | source des métadonnées"
    ),
    "iconclass": ("iconclass | iconclass notation | iconclass code"),
}
FIELDS = {label.strip(): field for field, labels in _LABELS.items() for label in labels.split("|")}
