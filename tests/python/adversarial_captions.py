"""Captions that a tokeniser stumbles over: abbreviations, contractions, numbers, addresses, quotes, signs, other scripts."""
import random

WORDS = """a the man Dog riding horse two TV iPod B c x p U.S. u.k. e.g. i.e. a.m. p.m. Ph.D. mr. Mr. St. st. Dr. vs. etc. inc. Co. Jr. no. No.
fig. ave. sq. ft. oz. jan. Thurs. don't can't isn't it's I'm we've they'll dogs' o'clock 'tis cannot gonna wanna rock'n'roll y'all ma'am 'em
'90s 1990s 10am 3d 1st 22nd 5'10" t-shirt mother-in-law 10-year-old X-ray and/or w/ w/o 1/2 3/4 24/7 3.14 1,000 $5 $5.00 5% 10:30 12/25/2014
555-1234 #tag @user foo.com www.a-b.com/x.html http://x.yz/a?b=1 a@b.co file.jpg :) ;-) :D <3 ^_^ & A&B AT&T R&D &amp; &lt; &quot; &nbsp; <b>
</b> <br/> < > ( ) [ ] { } " ' ` `` '' . , ; : ! ? ... -- - --- / \\ * ** + = ~ ^ | _ # % @ $ !!! ?! .. .... café naïve ½ ¼ ⅓ ⅛ € £ ¥ ¢ ° ©
™ ‘ ’ “ ” – — … • × ² don’t ‘hi’ “hi” 中文 é ΑΣ İ ß UPPER MiXeD 5 12 100 1999 2014 -5 +3 .5 1.5 5, 5. a. b. I. s. The It And He colour grey s
t d ll re n't 's 're 😀 1 (555) 123-4567 c++ d'artagnan O'Neil Hawai'i l'eau cap'n 'cause somethin' gov't""".split() + ["\u00a0", "\u3000"]
PLAIN = """a an the man woman dog cat horse child people group riding sitting standing holding playing eating on in of with near at next to street
table beach field ball frisbee red blue large small white black two three some and while""".split()
SEPARATORS = [" "] * 7 + ["", "", "", "  ", "-", "/", ".", ",", "'", "\t", ". ", ", "]


def hard_caption(draw):
    return "".join(draw.choice(WORDS) + draw.choice(SEPARATORS) for _ in range(draw.randrange(1, 10)))


def plain_caption(draw):
    return " ".join(draw.choice(PLAIN) for _ in range(draw.randrange(3, 14))).capitalize() + draw.choice(["", ".", " ."])


def make(images, seed=0, hard=0.7):
    """COCO's references and results for so many images; `hard`: the share of captions that are made to be stumbled over."""
    draw = random.Random(seed)

    def caption():
        return hard_caption(draw) if draw.random() < hard else plain_caption(draw)
    references, results, number = {"images": [], "annotations": []}, [], 0
    for image in range(1, images + 1):
        references["images"].append({"id": image, "file_name": f"{image}.jpg"})
        captions = [caption() for _ in range(draw.randrange(1, 6))]
        for text in captions:
            number += 1
            references["annotations"].append({"id": number, "image_id": image, "caption": text})
        words = draw.choice(captions).split(" ")
        if draw.random() < 0.7:  # near one of the references
            for _ in range(draw.randrange(3)):
                words.insert(draw.randrange(len(words) + 1), draw.choice(PLAIN))
                words.pop(draw.randrange(len(words)))
        results.append({"image_id": image, "caption": " ".join(words) if draw.random() < 0.85 else caption()})
    return references, results
